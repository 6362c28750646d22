//! The host's writers: single statements at full speed, each with rows of its own, so that no two wait for each other.
use super::measure::Measure;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgConnection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many there are.
pub(super) const WRITERS: u64 = 8;

/// What one of them does, how often among all, and how. Of `$1` to `$4`: a task that was there at the start, a new id, a number, and
/// the number of something that is the writer's own.
const STATEMENTS: [(&str, u32, &str); 12] = [
    (
        "upsert",
        30,
        "insert into public.task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens)
         select id, 'Anthropic', 'opus', $3::bigint, 7, $3::bigint from public.agent_task_queue where id = md5($1::text)::uuid and $2::uuid is not null and $4::bigint >= 0
         on conflict (task_id, provider, model) do update
         set input_tokens = excluded.input_tokens, cache_read_tokens = excluded.cache_read_tokens",
    ),
    (
        "new task",
        15,
        "with made as (
           insert into public.agent_task_queue (id, agent_id, runtime_id, issue_id, status)
           values ($2::uuid, md5('agent ' || $4::bigint % 2000)::uuid, md5('runtime ' || $3::bigint % 200)::uuid,
             (select id from public.issue where id = md5('issue ' || $4::bigint)::uuid), 'running')
           returning id)
         insert into public.task_usage (task_id, provider, model, input_tokens)
         select id, 'openai', 'gpt', $3::bigint from made where $1::text is not null",
    ),
    (
        "correct counters",
        18,
        "update public.task_usage set input_tokens = $3::bigint, cache_write_tokens = nullif($3::bigint % 5, 0)
         where task_id = md5($1::text)::uuid and $2::uuid is not null and $4::bigint >= 0",
    ),
    (
        "correct the time",
        5,
        "update public.task_usage set created_at = created_at - interval '1 hour' * ($3::bigint % 40)
         where task_id = md5($1::text)::uuid and model = 'opus' and $2::uuid is not null and $4::bigint >= 0",
    ),
    (
        "correct the provider",
        5,
        "update public.task_usage set provider = case $3::bigint % 2 when 0 then 'OpenAI' else 'bedrock' end
         where task_id = md5($1::text)::uuid and model = 'gpt' and $2::uuid is not null and $4::bigint >= 0",
    ),
    (
        "change a status",
        10,
        "update public.agent_task_queue set status = 'completed', completed_at = now()
         where id = md5($1::text)::uuid and $2::uuid is not null and $3::bigint >= 0 and $4::bigint >= 0",
    ),
    (
        "move a task",
        6,
        "update public.agent_task_queue
         set agent_id = md5('agent ' || $3::bigint % 2000)::uuid, runtime_id = md5('runtime ' || $3::bigint % 200)::uuid
         where id = md5($1::text)::uuid and $2::uuid is not null and $4::bigint >= 0",
    ),
    (
        "take a task off its issue",
        3,
        "update public.agent_task_queue set issue_id = null where id = md5($1::text)::uuid and $2::uuid is not null and $3::bigint >= 0 and $4::bigint >= 0",
    ),
    (
        "move an issue",
        1,
        "update public.issue set project_id = md5('project ' || $3::bigint % 50)::uuid
         where id = md5('issue ' || $4::bigint)::uuid and $1::text is not null and $2::uuid is not null",
    ),
    (
        "delete usage",
        3,
        "delete from public.task_usage where task_id = md5($1::text)::uuid and model = 'gpt' and $2::uuid is not null and $3::bigint >= 0 and $4::bigint >= 0",
    ),
    (
        "delete a task",
        2,
        "delete from public.agent_task_queue where id = md5($1::text)::uuid and $2::uuid is not null and $3::bigint >= 0 and $4::bigint >= 0",
    ),
    (
        "insert a batch",
        2,
        "with made as (
           insert into public.agent_task_queue (id, agent_id, runtime_id)
           select md5($2::text || n)::uuid, md5('agent ' || n % 2000)::uuid, md5('runtime ' || n % 200)::uuid from generate_series(1, 50) n
           returning id)
         insert into public.task_usage (task_id, provider, model, input_tokens)
         select id, 'Anthropic', model, $3::bigint from made, unnest(array['opus', 'haiku']) model where $1::text is not null and $4::bigint >= 0",
    ),
];

/// Of so many statements at least, one moves an agent, with all its usage, to another workspace; and of so many for each task that an
/// agent has, since who has more is moved less often: else all that there is would be on the move all the time.
const AGENT_MOVES: u64 = 500;
const AGENT_MOVES_A_TASK: u64 = 16;
const AGENTS: u64 = 2000;
const MOVE_AN_AGENT: &str = "update public.agent set workspace_id = md5('workspace ' || $3::bigint % 40)::uuid
    where id = md5('agent ' || $4::bigint % 2000)::uuid and $1::text is not null and $2::uuid is not null";

/// Writes until `stop`, at full speed unless there is a `pace`, as the `number`th writer, on a history of so many tasks.
pub(super) async fn write(
    mut conn: PgConnection,
    number: u64,
    tasks: u64,
    seed: u64,
    pace: Option<Duration>,
    measure: Arc<Measure>,
    stop: CancellationToken,
) {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_add(number));
    let agent_moves = AGENT_MOVES.max(tasks / AGENTS * AGENT_MOVES_A_TASK);
    let weights: u32 = STATEMENTS.iter().map(|(_, weight, _)| weight).sum();
    // Every 8th of anything is this one's.
    let own = |rng: &mut StdRng, of: u64| rng.random_range(0..(of / WRITERS).max(1)) * WRITERS + number;
    while !stop.is_cancelled() {
        let mut chosen = rng.random_range(0..weights);
        let (what, sql) = if rng.random_range(0..agent_moves) == 0 {
            ("move an agent", MOVE_AN_AGENT)
        } else {
            let of = STATEMENTS.iter().find(|(_, weight, _)| {
                let here = chosen < *weight;
                chosen = chosen.saturating_sub(*weight);
                here
            });
            of.map(|(what, _, sql)| (*what, *sql)).unwrap()
        };
        let task = own(&mut rng, tasks);
        let query = sqlx::query(sql)
            .bind(task_id(task))
            .bind(Uuid::from_u128(rng.random()))
            .bind(rng.random_range(0..1_000_000_i64))
            .bind(i64::try_from(own(&mut rng, tasks / 20)).unwrap());
        let began = Instant::now();
        let done = query.execute(&mut conn).await;
        measure.told(what, began.elapsed(), done.as_ref().err());
        if let Some(pace) = pace {
            tokio::time::sleep(pace).await;
        }
    }
}

/// The history's `number`th task, as `history.sql` calls it.
fn task_id(number: u64) -> String {
    format!("task {number}")
}
