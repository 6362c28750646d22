//! Forms groups: all that waits and does not depend on what is under way is committed together.
//!
//! While a group is being written the next one gathers, so groups grow with the load by themselves.
//! Invariant: no two groups under way, and no two requests of one group, name the same identity. Hence requests
//! that do are applied in the order in which they came.
use super::commit::Committer;
use super::limits::Limits;
use super::queue::Request;
use std::collections::{HashMap, HashSet, VecDeque};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

/// Runs until `requests` is closed and every request has been answered.
pub(super) async fn run(committer: Committer, limits: Limits, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut waiting = VecDeque::new();
    let mut under_way = UnderWay::default();
    let mut open = true;
    while open || !under_way.groups.is_empty() || !waiting.is_empty() {
        while let Ok(request) = requests.try_recv() {
            waiting.push_back(request);
        }
        while under_way.groups.len() < limits.groups_at_once_max {
            let group = take_group(&mut waiting, &under_way.identities, limits.group_reports_max);
            if group.is_empty() {
                break;
            }
            under_way.start(group, committer.clone());
        }
        tokio::select! {
            request = requests.recv(), if open => match request {
                Some(request) => waiting.push_back(request),
                None => open = false,
            },
            () = under_way.ended(), if !under_way.groups.is_empty() => {}
            else => {} // closed, and those who waited have all gone
        }
    }
}

/// Takes from `waiting`, in order, what may be committed now: up to `reports_max` reports, at least one request.
///
/// A request that names a busy identity stays, and so does each later one that shares an identity with it.
fn take_group(waiting: &mut VecDeque<Request>, under_way: &HashSet<u64>, reports_max: usize) -> Vec<Request> {
    let mut group = Vec::new();
    let mut stay = VecDeque::new();
    let mut busy: HashSet<u64> = HashSet::new();
    let mut reports = 0;
    while let Some(request) = waiting.pop_front() {
        if request.answer.is_closed() {
            continue; // nobody waits for it any more
        }
        let size = request.identities.len();
        if !group.is_empty() && reports + size > reports_max {
            waiting.push_front(request);
            break;
        }
        let is_blocked = request.identities.iter().any(|identity| under_way.contains(identity) || busy.contains(identity));
        busy.extend(&request.identities);
        if is_blocked {
            stay.push_back(request);
        } else {
            reports += size;
            group.push(request);
        }
    }
    while let Some(request) = stay.pop_back() {
        waiting.push_front(request);
    }
    group
}

/// The groups that are being written.
#[derive(Default)]
struct UnderWay {
    groups: JoinSet<()>,
    identities_of: HashMap<Id, Vec<u64>>,
    identities: HashSet<u64>,
}

impl UnderWay {
    fn start(&mut self, group: Vec<Request>, committer: Committer) {
        let identities: Vec<u64> = group.iter().flat_map(|request| &request.identities).copied().collect();
        self.identities.extend(&identities);
        let task = self.groups.spawn(async move { committer.commit(group).await });
        self.identities_of.insert(task.id(), identities);
    }

    /// Waits for one of them to end, well or not: the answers are its own matter.
    async fn ended(&mut self) {
        let id = match self.groups.join_next_with_id().await {
            None => return,
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "a group of reports was given up; its senders were told to try again");
                error.id()
            }
        };
        for identity in self.identities_of.remove(&id).unwrap_or_default() {
            self.identities.remove(&identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken of requests with such identities, and what is left, in groups of three reports.
    fn take(waiting: &[&[u64]], under_way: &[u64]) -> (Vec<Vec<u64>>, Vec<Vec<u64>>) {
        let (mut waiting, _answered): (VecDeque<_>, Vec<_>) = waiting.iter().map(|of| Request::of(of)).unzip();
        let group = take_group(&mut waiting, &under_way.iter().copied().collect(), 3);
        let identities = |request: Request| request.identities;
        (group.into_iter().map(identities).collect(), waiting.into_iter().map(identities).collect())
    }

    #[test]
    fn a_group_is_filled_to_its_bound_and_a_larger_request_is_one_of_its_own() {
        assert_eq!(take(&[&[1, 2], &[3], &[4]], &[]), (vec![vec![1, 2], vec![3]], vec![vec![4]]));
        assert_eq!(take(&[&[1, 2, 3, 4], &[5]], &[]), (vec![vec![1, 2, 3, 4]], vec![vec![5]]));
    }

    #[test]
    fn who_names_what_another_one_names_waits_for_it_and_keeps_its_place() {
        assert_eq!(take(&[&[1], &[2], &[1]], &[2]), (vec![vec![1]], vec![vec![2], vec![1]]));
        assert_eq!(take(&[&[2, 3], &[3], &[4]], &[2]), (vec![vec![4]], vec![vec![2, 3], vec![3]]));
    }

    #[test]
    fn who_no_longer_waits_is_passed_over() {
        let (gone, answered) = Request::of(&[1]);
        drop(answered);
        let (there, _answered) = Request::of(&[1]);
        let group = take_group(&mut VecDeque::from([gone, there]), &HashSet::new(), 3);
        assert_eq!(group.len(), 1);
        assert!(!group[0].answer.is_closed());
    }
}
