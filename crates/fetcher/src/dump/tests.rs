use super::*;
use std::io::Write;
use std::path::Path;

fn run_id() -> RunId {
    "01900000-0000-7000-8000-000000000000".parse().expect("a run id")
}

fn item(name: &str) -> String {
    format!(
        r#"{{"ConformancePackName":"{name}","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{{"ComplianceType":"COMPLIANT","TotalRuleCount":3}}}}"#
    )
}

fn page(names: &[&str], token: &str) -> String {
    let items: Vec<String> = names.iter().map(|name| item(name)).collect();
    let token = if token.is_empty() { String::new() } else { format!(r#","NextToken":"{token}""#) };
    format!(r#"{{"AggregateComplianceByConformancePacks":[{}]{token}}}"#, items.join(","))
}

/// The names of all packs of some files, in order.
fn names(folder: &Path, files: &[Vec<u8>]) -> Result<Vec<String>, String> {
    let paths: Vec<PathBuf> = (0..files.len()).map(|number| folder.join(format!("page{number}.json"))).collect();
    for (path, content) in paths.iter().zip(files) {
        std::fs::write(path, content).expect("written");
    }
    let mut dump = Dump::new(paths, run_id());
    let mut names = Vec::new();
    loop {
        match dump.next_part() {
            Ok(Some(Dumped::Packs(page))) => {
                assert_eq!((page.collected_at, page.run_id), (None, run_id()));
                names.extend(page.packs.into_iter().map(|pack| pack.conformance_pack_name));
            }
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => return Ok(names),
            Err(error) => return Err(error.to_string().replace(&folder.display().to_string(), "")),
        }
    }
}

fn taken(files: &[&str]) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    names(folder.path(), &files.iter().map(|file| file.as_bytes().to_vec()).collect::<Vec<_>>())
}

#[test]
fn what_people_have_lying_around_is_taken() {
    let whole = page(&["a", "b", "c"], "");
    let (first, second) = (page(&["a", "b"], "A"), page(&["c"], ""));
    let pretty = whole.replace(',', ",\r\n  ").replace('{', "{ ");
    let boto3 = first.replacen('{', r#"{"ResponseMetadata":{"HTTPStatusCode":200,"HTTPHeaders":{"date":"x"}},"#, 1);
    for files in [
        vec![whole.clone()],
        vec![pretty],
        vec![format!("\u{feff}{whole}\n")],
        vec![first.clone(), second.clone()],
        vec![format!("[{boto3},\n{second}]")],
        vec![format!("{first}\n{second}\n")],
        vec![format!("[{},{},{}]", item("a"), item("b"), item("c"))],
        vec![format!("{}\n{}\n\n{}", item("a"), item("b"), item("c"))],
        vec![page(&["a"], "A") + &page(&[], "B") + &page(&["b"], " ") + &page(&["c"], "")],
    ] {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        assert_eq!(taken(&files), Ok(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]), "{files:?}");
    }
}

#[test]
fn gzip_and_zstd_are_undone_and_one_that_is_cut_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = page(&["a", "b"], "").repeat(50);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).expect("compressed");
    for file in [gzip.finish().expect("compressed"), zstd::encode_all(text.as_bytes(), 3).expect("compressed")] {
        assert_eq!(names(folder.path(), std::slice::from_ref(&file)).map(|names| names.len()), Ok(100));
        for cut in [file.len() - 1, file.len() / 2, 5] {
            let error = names(folder.path(), &[file[..cut].to_vec()]).expect_err("cut");
            assert!(error.starts_with("cannot read /page0.json"), "{error}");
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_file_position_and_field() {
    let good = page(&["a"], "");
    let count = |value: &str| good.replace("\"TotalRuleCount\":3", &format!("\"TotalRuleCount\":{value}"));
    for (file, words) in [
        (
            format!("{good}\n{}", count("\"3\"")),
            "/page0.json, document 2 (line 2), AggregateComplianceByConformancePacks[0].Compliance.TotalRuleCount: ",
        ),
        (count("3.0"), "document 1 (line 1), AggregateComplianceByConformancePacks[0].Compliance.TotalRuleCount: "),
        (
            format!("[{good},{}]", count("2147483648")),
            "[1].AggregateComplianceByConformancePacks[0].Compliance.TotalRuleCount: ",
        ),
        (
            good.replace("\"000000000001\"", "111111111111"),
            "AggregateComplianceByConformancePacks[0].AccountId: invalid type: integer",
        ),
        (good.replace("000000000001", "1"), "AggregateComplianceByConformancePacks[0].AccountId: "),
        (
            format!("[{},{}]", item("a"), item("b").replace("eu-west-1", "")),
            "[1].AwsRegion: the value is missing or empty",
        ),
        ("{}".to_owned(), "AggregateComplianceByConformancePacks: the list is missing"),
        (r#"{"AggregateComplianceByConformancePacks":null}"#.to_owned(), "the list is missing"),
        (r#"{"ConfigurationAggregators":[]}"#.to_owned(), "the list is missing"),
        (good[..good.len() - 3].to_owned(), "the file is cut short or damaged"),
        (format!("{good}\n{}", &good[..70]), "document 2 (line 2), AggregateComplianceByConformancePacks[0]"),
        (String::new(), "it is empty"),
        ("AGGREGATECOMPLIANCEBYCONFORMANCEPACKS\t000000000001".to_owned(), "expected value"),
        ("<html>Sign in</html>".to_owned(), "expected value"),
        ("[[]]".to_owned(), "[0]: invalid "),
        ("7".to_owned(), "expected an answer of AWS Config, or a list of them"),
    ] {
        let error = taken(&[&file]).expect_err("an error");
        assert!(error.contains(words), "{file}\n{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(names(folder.path(), &[utf16]).expect_err("an error").contains("save it as UTF-8"));
}

#[test]
fn pages_without_their_last_one_are_an_error() {
    let (first, second, last) = (page(&["a"], "A"), page(&["b"], "B"), page(&["c"], ""));
    for files in
        [vec![&first[..]], vec![&first, &second], vec![&format!("{first}{second}")], vec![&format!("[{first}]")]]
    {
        let error = taken(&files).expect_err("an error");
        assert!(error.contains("none of the files is the last page"), "{error}");
    }
    // A shell sorts page10 before page2.
    assert_eq!(taken(&[&last, &first, &second]).map(|names| names.len()), Ok(3));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut dump = Dump::new(vec![PathBuf::from("nowhere.json")], run_id());
    let error = dump.next_part().expect_err("an error").to_string();
    assert!(error.starts_with("cannot read nowhere.json: "), "{error}");
}
