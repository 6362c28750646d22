//! One report as it comes in JSON: read field by field, so that everything that is wrong with it can be named.
//!
//! Numbers keep the text they came as; none goes through a float.
use crate::ingest::error::{Fault, FaultCode};
use crate::ingest::{Counts, Reference, Report, TaskPlace};
use crate::model::{Count, EventKey, Model, Name, OccurredAt, Provider, Ticks};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::Display;
use utoipa::ToSchema;
use uuid::Uuid;

/// Length of a report: many times that of one whose names are all as long as they may be, and little when it is taken apart.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// What one task used of one model: its running total so far, or, with an `event_key`, a single event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct UsageReport {
    /// The task that used it.
    #[schema(value_type = Uuid, required)]
    task_id: Option<Value>,
    /// Who served the model, at most 200 bytes in UTF-8; compared in lower case.
    #[schema(value_type = String, required, min_length = 1, max_length = 200, pattern = r"^[\t-\r ]*[^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^ \u0000-\u001f\u007f-\u009f])?[\t-\r ]*$", examples("anthropic"))]
    provider: Option<Value>,
    /// The model, as its provider calls it, at most 200 bytes in UTF-8.
    #[schema(value_type = String, required, min_length = 1, max_length = 200, pattern = r"^[\t-\r ]*[^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^ \u0000-\u001f\u007f-\u009f])?[\t-\r ]*$", examples("claude-opus-4"))]
    model: Option<Value>,
    /// The reporter's own id of a single event, at most 200 bytes in UTF-8. Left out, the report is the task's running total.
    #[schema(value_type = Option<String>, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    event_key: Option<Value>,
    /// Input tokens that were neither read from nor written to a cache.
    #[schema(value_type = u64, required, maximum = 1_000_000_000_000_i64)]
    input_tokens: Option<Value>,
    /// Output tokens, reasoning included.
    #[schema(value_type = u64, required, maximum = 1_000_000_000_000_i64)]
    output_tokens: Option<Value>,
    /// Input tokens read from a cache; not part of `input_tokens`.
    #[schema(value_type = u64, required, maximum = 1_000_000_000_000_i64)]
    cache_read_tokens: Option<Value>,
    /// Input tokens written to a cache; not part of `input_tokens`.
    #[schema(value_type = u64, required, maximum = 1_000_000_000_000_i64)]
    cache_write_tokens: Option<Value>,
    /// Input tokens written to a cache of one hour's life time; not part of `cache_write_tokens`.
    #[schema(value_type = Option<u64>, maximum = 1_000_000_000_000_i64)]
    cache_write_1h_tokens: Option<Value>,
    /// The provider's own price in USD, at most 10 decimals, as a string or a number. Left out: no price is known. 0: it was free.
    #[schema(schema_with = crate::http::openapi::price)]
    cost_usd: Option<Value>,
    /// When it happened, from 2000 to a day ahead. Left out: now, or, reported again, the time of the first report.
    #[schema(value_type = Option<String>, format = DateTime)]
    occurred_at: Option<Value>,
    /// Orders the reports of a running total: one with a lower number than stored is stale and changes nothing.
    #[schema(value_type = Option<i64>, minimum = 0)]
    sequence: Option<Value>,
    /// Where the task runs. What does not exist is made; a stored task moves there if the report is created or replaced.
    #[schema(nullable = true)]
    task: Option<ReportedTask>,
}

/// Where a task runs, for whom, and on what. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ReportedTask {
    /// The workspace of all that is named here. A token of one workspace need not say it.
    #[schema(value_type = Option<Uuid>)]
    workspace_id: Option<Value>,
    /// Who works on it; a new task needs one.
    agent: Option<Named>,
    /// Where it runs; a new task takes its agent's when none is named.
    runtime: Option<Named>,
    /// What it is about.
    issue: Option<Titled>,
}

/// One of the workspace's, by name (the oldest), by id, or by id with the name that it is made with when it is missing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with an id or a name")]
#[schema(as = NamedReference)]
pub(super) struct Named {
    #[schema(value_type = Option<Uuid>)]
    id: Option<Value>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[\t-\r ]*[^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^ \u0000-\u001f\u007f-\u009f])?[\t-\r ]*$")]
    name: Option<Value>,
}

/// One of the workspace's, by title (the oldest), by id, or by id with the title that it is made with when it is missing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with an id or a title")]
#[schema(as = TitledReference)]
pub(super) struct Titled {
    #[schema(value_type = Option<Uuid>)]
    id: Option<Value>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[\t-\r ]*[^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^ \u0000-\u001f\u007f-\u009f])?[\t-\r ]*$")]
    title: Option<Value>,
}

/// Reads the report at `index` of a batch, as of `now`; or adds what is wrong with it to `faults`.
pub(super) fn parse(index: usize, json: &RawValue, now: Timestamp, faults: &mut Vec<Fault>) -> Option<Report> {
    let mut reader = Reader { index, faults };
    if json.get().len() > REPORT_BYTES_MAX {
        reader.refuse("", format!("a report has at most {REPORT_BYTES_MAX} bytes"));
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(json.get());
    match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(report) => reader.report(&report, now),
        Err(error) => {
            let path = error.path().to_string();
            reader.refuse(if path == "." { "" } else { &path }, without_place(error.inner()));
            None
        }
    }
}

/// The error without its line and column, which count from the report's beginning and would mislead.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

struct Reader<'a> {
    index: usize,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn report(&mut self, report: &UsageReport, now: Timestamp) -> Option<Report> {
        // Each field is read before any is missed: all that is wrong is told at once.
        let task_id = self.required("task_id", report.task_id.as_ref(), uuid);
        let provider = self.required("provider", report.provider.as_ref(), |v| text(v, Provider::parse));
        let model = self.required("model", report.model.as_ref(), |v| text(v, Model::parse));
        let event_key = self.optional("event_key", report.event_key.as_ref(), |v| text(v, EventKey::parse));
        let input = self.required("input_tokens", report.input_tokens.as_ref(), count);
        let output = self.required("output_tokens", report.output_tokens.as_ref(), count);
        let cache_read = self.required("cache_read_tokens", report.cache_read_tokens.as_ref(), count);
        let cache_write = self.required("cache_write_tokens", report.cache_write_tokens.as_ref(), count);
        let cache_write_1h = self.optional("cache_write_1h_tokens", report.cache_write_1h_tokens.as_ref(), count);
        let cost = self.optional("cost_usd", report.cost_usd.as_ref(), ticks);
        let occurred_at = self.optional("occurred_at", report.occurred_at.as_ref(), |v| text(v, |t| OccurredAt::parse(t, now)));
        let sequence = self.optional("sequence", report.sequence.as_ref(), sequence);
        let task = report.task.as_ref().map(|task| self.task(task)).transpose();
        Some(Report {
            task_id: task_id?,
            provider: provider?,
            model: model?,
            event_key: event_key.ok()?.unwrap_or_default(),
            counts: Counts {
                input: input?,
                output: output?,
                cache_read: cache_read?,
                cache_write: cache_write?,
                cache_write_1h: cache_write_1h.ok()?.unwrap_or_default(),
            },
            cost: cost.ok()?,
            occurred_at: occurred_at.ok()?,
            sequence: sequence.ok()?,
            task: task.ok()?,
        })
    }

    fn task(&mut self, task: &ReportedTask) -> Result<TaskPlace, Refused> {
        let workspace_id = self.optional("task.workspace_id", task.workspace_id.as_ref(), uuid);
        let agent = task
            .agent
            .as_ref()
            .map(|named| self.reference("task.agent", "name", named.id.as_ref(), named.name.as_ref()))
            .transpose();
        let runtime = task
            .runtime
            .as_ref()
            .map(|named| self.reference("task.runtime", "name", named.id.as_ref(), named.name.as_ref()))
            .transpose();
        let issue = task
            .issue
            .as_ref()
            .map(|titled| self.reference("task.issue", "title", titled.id.as_ref(), titled.title.as_ref()))
            .transpose();
        Ok(TaskPlace { workspace_id: workspace_id?, agent: agent?, runtime: runtime?, issue: issue? })
    }

    fn reference(&mut self, field: &str, word: &str, id: Option<&Value>, name: Option<&Value>) -> Result<Reference, Refused> {
        let id = self.optional(&format!("{field}.id"), id, uuid);
        let name = self.optional(&format!("{field}.{word}"), name, |v| text(v, Name::parse));
        match (id?, name?) {
            (Some(id), name) => Ok(Reference::Id(id, name)),
            (None, Some(name)) => Ok(Reference::Name(name)),
            (None, None) => {
                self.refuse(field, format!("needs an id or a {word}"));
                Err(Refused)
            }
        }
    }

    fn required<T>(&mut self, field: &str, value: Option<&Value>, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        if value.is_none() {
            self.refuse(field, "is required".to_owned());
        }
        self.optional(field, value, read).ok().flatten()
    }

    /// Reads what is there; null is as good as absent.
    fn optional<T>(
        &mut self,
        field: &str,
        value: Option<&Value>,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, Refused> {
        value.map(read).transpose().map_err(|reason| {
            self.refuse(field, reason);
            Refused
        })
    }

    fn refuse(&mut self, field: &str, reason: String) {
        self.faults.push(Fault { index: self.index, field: field.to_owned(), code: FaultCode::InvalidField, reason });
    }
}

/// The fault has been noted.
struct Refused;

fn text<T, E: Display>(value: &Value, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, String> {
    let text = value.as_str().ok_or_else(|| format!("must be a string, not {}", kind(value)))?;
    parse(text).map_err(|error| error.to_string())
}

fn uuid(value: &Value) -> Result<Uuid, String> {
    text(value, |text| Uuid::parse_str(text).map_err(|_| "must be a UUID, such as \"0b0e4c5a-7f0d-4f3e-9d2c-5a1b2c3d4e5f\""))
}

fn count(value: &Value) -> Result<Count, String> {
    let Value::Number(number) = value else { return Err(format!("must be a number, not {}", kind(value))) };
    Count::parse(&number.to_string()).map_err(|error| error.to_string())
}

fn ticks(value: &Value) -> Result<Ticks, String> {
    match value {
        Value::Number(number) => Ticks::parse(&number.to_string()).map_err(|error| error.to_string()),
        Value::String(text) => Ticks::parse(text).map_err(|error| error.to_string()),
        _ => Err(format!("must be a decimal string or a number, not {}", kind(value))),
    }
}

fn sequence(value: &Value) -> Result<i64, String> {
    let Value::Number(number) = value else { return Err(format!("must be a number, not {}", kind(value))) };
    let sequence = number.to_string().parse().ok().filter(|sequence| *sequence >= 0);
    sequence.ok_or_else(|| format!("must be a whole number from 0 to {}", i64::MAX))
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(report: &Value) -> Result<Report, Vec<String>> {
        let raw = RawValue::from_string(report.to_string()).unwrap();
        let mut faults = Vec::new();
        let report = parse(0, &raw, "2026-03-01T12:00:00Z".parse().unwrap(), &mut faults);
        report.ok_or_else(|| faults.iter().map(ToString::to_string).collect())
    }

    fn full() -> Value {
        json!({
            "task_id": "00000000-0000-0000-0000-000000000001", "provider": " Anthropic ", "model": "opus", "event_key": "req-1",
            "input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4, "cache_write_1h_tokens": 5,
            "cost_usd": "0.0125", "occurred_at": "2026-02-28T23:30:00-01:00", "sequence": 7,
            "task": {"agent": {"name": "ada"}, "runtime": {"id": "00000000-0000-0000-0000-000000000002"}, "issue": {"title": "Fix it"}}
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut report = full();
        match field.rsplit_once('.') {
            Some((path, last)) => report.pointer_mut(&format!("/{}", path.replace('.', "/"))).unwrap()[last] = value,
            None => report[field] = value,
        }
        report
    }

    #[test]
    fn a_full_report_is_read() {
        insta::assert_debug_snapshot!(read(&full()).unwrap());
    }

    #[test]
    fn what_is_left_out_or_null_is_not_reported() {
        let mut bare = full();
        for field in ["event_key", "cache_write_1h_tokens", "cost_usd", "occurred_at", "sequence", "task"] {
            assert!(read(&with(field, Value::Null)).is_ok(), "{field}");
            bare.as_object_mut().unwrap().remove(field);
        }
        let report = read(&bare).unwrap();
        assert_eq!(
            (report.event_key.as_str(), report.cost, report.occurred_at, report.sequence, report.task),
            ("", None, None, None, None)
        );
        assert_eq!(report.counts.cache_write_1h, Count::ZERO);
        assert_eq!(read(&with("cost_usd", json!(0))).unwrap().cost, Some(Ticks::try_from(0).unwrap()), "free is a price");
    }

    #[test]
    fn money_is_read_from_its_text() {
        for (text, ticks) in
            [("0.1", 1_000_000_000), ("\"0.1\"", 1_000_000_000), ("1e-10", 1), ("0.30000000000000000000", 3_000_000_000)]
        {
            let raw = full().to_string().replace("\"0.0125\"", text);
            let report = parse(0, &RawValue::from_string(raw).unwrap(), "2026-03-01T12:00:00Z".parse().unwrap(), &mut Vec::new());
            assert_eq!(report.unwrap().cost.unwrap().get(), ticks, "{text}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_named() {
        let mut wrong: Vec<String> = Vec::new();
        for (field, value) in [
            ("task_id", json!("x")),
            ("task_id", json!(5)),
            ("task_id", Value::Null),
            ("provider", json!("")),
            ("provider", json!("a\u{0}b")),
            ("model", json!(["opus"])),
            ("model", json!("m".repeat(201))),
            ("event_key", json!({})),
            ("input_tokens", json!(-1)),
            ("input_tokens", json!(1_000_000_000_001_i64)),
            ("input_tokens", serde_json::from_str("99999999999999999999999999").unwrap()),
            ("input_tokens", serde_json::from_str("1.5").unwrap()),
            ("input_tokens", serde_json::from_str("1e3").unwrap()),
            ("output_tokens", json!("12")),
            ("cache_read_tokens", json!(true)),
            ("cost_usd", json!("0.00000000001")),
            ("cost_usd", json!(-1)),
            ("cost_usd", json!("NaN")),
            ("cost_usd", json!([])),
            ("occurred_at", json!("NaN")),
            ("occurred_at", json!(1_772_366_400)),
            ("occurred_at", json!("2026-02-30T00:00:00Z")),
            ("occurred_at", json!("1970-01-01T00:00:00Z")),
            ("occurred_at", json!("2027-01-01T00:00:00Z")),
            ("sequence", json!(-1)),
            ("sequence", serde_json::from_str("9223372036854775808").unwrap()),
            ("task", json!("ada")),
            ("task.agent", json!({})),
            ("task.agent", json!("ada")),
            ("task.agent.nmae", json!("ada")),
            ("task.runtime.id", json!("x")),
            ("task.issue.title", json!(" ")),
            ("task.issue.name", json!("Fix it")),
            ("tokens", json!(5)),
        ] {
            wrong.extend(read(&with(field, value)).expect_err(field));
        }
        wrong.extend(read(&json!(5)).unwrap_err());
        insta::assert_snapshot!(wrong.join("\n"));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        assert_eq!(read(&json!({})).unwrap_err().len(), 7);
    }

    #[test]
    fn a_field_that_comes_twice_is_refused() {
        let twice = RawValue::from_string(full().to_string().replacen('{', "{\"input_tokens\": 9, ", 1)).unwrap();
        let mut faults = Vec::new();
        assert!(parse(3, &twice, "2026-03-01T12:00:00Z".parse().unwrap(), &mut faults).is_none());
        assert_eq!(faults[0].to_string(), "reports[3]: duplicate field `input_tokens`");
    }
}
