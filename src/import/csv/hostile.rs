//! Files that nobody means well with: each ends in a summary that adds up, or in an error that says where.
use super::tests::Bench;
use super::*;
use crate::import::error::Error;
use crate::testing::hostile::for_all;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Files that are tried, unless `TALLYBOOK_FUZZ_CASES` says otherwise.
const CASES: u32 = 48;

#[tokio::test]
async fn a_quote_that_is_never_closed_is_found_by_the_line_of_its_record_and_all_before_it_is_stored() {
    let bench = Bench::new().await;
    let mut file = b"at,in,out,note\n2023-11-16,1,1,fine\n\n2023-11-16,2,1,\"open\n".to_vec();
    file.extend(b"2023-11-17,3,1,swallowed\n".repeat(100_000));
    for on_bad in [OnBad::Fail, OnBad::Skip] {
        let options = Options { on_bad, ..bench.file("open.csv", &file) };
        let error = bench.import(&options).await.unwrap_err();
        assert!(matches!(error, Error::RecordTooLong { records: 1, line: 4, .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "line 4: the record that begins here has more than 1048576 bytes; if a quote in it is not closed, mend that and import \
             again: all 1 records before it are stored"
        );
        assert_eq!(bench.text("select sum(input_tokens)::text from public.task_usage").await, "1");
    }
    let error = bench.import(&bench.file("header.csv", &[b"at,in,out,\"", "x".repeat(2_000_000).as_bytes()].concat())).await;
    assert!(matches!(error, Err(Error::RecordTooLong { records: 0, line: 1, .. })), "{error:?}");
}

/// Cells, good ones mostly.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "2023-11-16 18:17:03.97",
        "1700158623",
        "1700158623979960001",
        "1",
        "12.0",
        "0",
        "-1",
        "1e3",
        "99999999999999999999999999",
        "9999-12-31T23:59:59Z",
        "-009999-01-01T00:00:00Z",
        "infinity",
        "NaN",
        "",
        " ",
        "\u{202e}x",
        "'; drop table task_usage; --",
        "a\0b",
        "\"quoted\"",
        "\"a \"\"b\"\"\"",
        "\"two\nlines\"",
        "\"open",
    ];
    let known: Vec<Vec<u8>> = known.iter().map(|text| text.as_bytes().to_vec()).collect();
    prop_oneof![9 => prop::sample::select(known), 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let good = Just(b"2023-11-16 00:00:00,1,2,x\n".to_vec());
    let line = (prop::collection::vec(cell(), 0..7), prop::sample::select(vec!["\n", "\r\n", "\r", ""]))
        .prop_map(|(cells, end)| [cells.join(&b","[..]), end.as_bytes().to_vec()].concat());
    let lines = prop::collection::vec(prop_oneof![1 => good, 2 => line], 0..20);
    let header = prop_oneof![20 => Just(b"at,in,out,key\n".to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..40)];
    (any::<bool>(), header, lines).prop_map(|(mark, header, lines)| {
        [if mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() }, header, lines.concat()].concat()
    })
}

async fn check(bench: &Bench, number: usize, file: &[u8], by_key: bool) -> TestCaseResult {
    let mut options = Options { on_bad: OnBad::Skip, ..bench.file(&format!("{number}.csv"), file) };
    options.columns.key = by_key.then(|| "key".to_owned());
    let rows = "select count(*)::text from public.task_usage";
    let before: u64 = bench.text(rows).await.parse().unwrap();
    match bench.import_with_bad(&options).await {
        (Ok(summary), bad) => {
            let Summary { records, created, replaced, unchanged, stale, sealed, skipped } = summary;
            prop_assert_eq!(records, created + replaced + unchanged + stale + sealed + skipped);
            prop_assert_eq!(skipped, u64::try_from(bad.len()).unwrap());
            prop_assert_eq!(bench.text(rows).await, (before + created).to_string());
            let again = bench.import(&options).await.unwrap();
            prop_assert_eq!(again, Summary { records, unchanged: records - skipped, skipped, ..Summary::default() });
        }
        (Err(Error::Column { .. }), _) => prop_assert_eq!(bench.text(rows).await, before.to_string()),
        (Err(error), _) => prop_assert!(false, "{}", error),
    }
    Ok(())
}

#[test]
fn any_file_is_read_to_its_end_and_its_sums_add_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new());
    let number = std::cell::Cell::new(0);
    for_all("src/import/csv/failing-seeds.txt", CASES, &(file(), any::<bool>()), |(file, by_key)| {
        number.set(number.get() + 1);
        runtime.block_on(check(&bench, number.get(), &file, by_key))
    });
    let report = runtime.block_on(crate::rollup::verify::verify(&bench.database.pool)).unwrap();
    assert!(report.exact(), "{report:?}");
}
