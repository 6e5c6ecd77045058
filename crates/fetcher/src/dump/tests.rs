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

/// The names of all packs of some files that are whole by themselves, in order.
fn names(folder: &Path, files: &[Vec<u8>]) -> Result<Vec<String>, String> {
    names_of(folder, files, FilesAre::Whole)
}

fn names_of(folder: &Path, files: &[Vec<u8>], files_are: FilesAre) -> Result<Vec<String>, String> {
    let paths: Vec<PathBuf> = (0..files.len()).map(|number| folder.join(format!("page{number}.json"))).collect();
    for (path, content) in paths.iter().zip(files) {
        std::fs::write(path, content).expect("written");
    }
    let mut dump = Dump::new(paths, files_are, run_id());
    let mut names = Vec::new();
    loop {
        match dump.next_part() {
            Ok(Some(Dumped::Page(page))) => {
                assert_eq!((page.collected_at, page.run_id), (None, run_id()));
                let Answers::Packs(packs) = page.answers else { panic!("not of packs") };
                names.extend(packs.into_iter().map(|pack| pack.conformance_pack_name.to_string()));
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

/// The same of the pages of one list.
fn taken_as_pages(files: &[&str]) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<Vec<u8>> = files.iter().map(|file| file.as_bytes().to_vec()).collect();
    names_of(folder.path(), &files, FilesAre::PagesOfOneList)
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
        vec![page(&["a"], ""), page(&["b"], ""), page(&["c"], "")],
        vec![page(&["a"], "") + &page(&["b", "c"], "")],
        vec![format!("\u{feff}{}\r\n\u{feff}{}", page(&["a"], ""), page(&["b", "c"], ""))],
        vec![format!("[[{},{}],[{}]]", item("a"), item("b"), item("c"))],
        vec![format!("[[{first},{second}]]")],
        vec![format!(r#"{{"value":[{},{},{}],"Count":3}}"#, item("a"), item("b"), item("c"))],
        vec![format!(r#"{{"Value":[{first},{second}],"Count":2}}"#)],
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

/// A content as gzip and as zstd.
fn compressed(content: &[u8]) -> [Vec<u8>; 2] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(content).expect("compressed");
    [gzip.finish().expect("compressed"), zstd::encode_all(content, 3).expect("compressed")]
}

#[test]
fn gzip_and_zstd_are_undone_and_one_that_is_cut_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("\u{feff}{}", page(&["a", "b"], "")).repeat(50);
    for file in compressed(text.as_bytes()) {
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
        (
            "{}".to_owned(),
            "AggregateComplianceByConformancePacks or AggregateComplianceByConfigRules: the list is missing",
        ),
        (r#"{"AggregateComplianceByConformancePacks":null}"#.to_owned(), "the list is missing"),
        (r#"{"ConfigurationAggregators":[]}"#.to_owned(), "the list is missing"),
        (good[..good.len() - 3].to_owned(), "the file is cut short or damaged"),
        (format!("{good}\n{}", &good[..70]), "document 2 (line 2), AggregateComplianceByConformancePacks[0]"),
        (String::new(), "it is empty"),
        ("AGGREGATECOMPLIANCEBYCONFORMANCEPACKS\t000000000001".to_owned(), "expected value"),
        ("<html>Sign in</html>".to_owned(), "expected value"),
        ("[[7]]".to_owned(), "[0][0]: invalid type: integer"),
        (
            format!("[[{}],[{}]]", item("a"), item("b").replace("eu-west-1", "")),
            "[1][0].AwsRegion: the value is missing or empty",
        ),
        (format!(r#"{{"value":[{}],"Count":2}}"#, item("a")), "Count: 1 items are there"),
        (item("a").replace("\"COMPLIANT\"", r#"{"Value":"COMPLIANT"}"#), "AWS Tools for PowerShell write it so"),
        (
            item("a")
                .replace(r#"{"ComplianceType":"COMPLIANT","TotalRuleCount":3}"#, r#""@{ComplianceType=COMPLIANT}""#),
            "give it -Depth 10",
        ),
        ("7".to_owned(), "expected an answer of AWS Config, or a list of them"),
    ] {
        let error = taken(&[&file]).expect_err("an error");
        assert!(error.contains(words), "{file}\n{error}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_by_name_also_within_gzip_and_zstd() {
    let folder = tempfile::tempdir().expect("a folder");
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    for plain in [little("\u{feff}{}"), big("\u{feff}{}"), little("{}"), big("{}")] {
        for file in compressed(&plain).into_iter().chain([plain]) {
            let error = names(folder.path(), &[file]).expect_err("an error");
            assert!(error.contains("save it as UTF-8"), "{error}");
        }
    }
    let damaged = [&[0xef, 0xbb][..], page(&["a"], "").as_bytes()].concat();
    assert!(names(folder.path(), &[damaged]).expect_err("an error").contains("a byte-order mark is damaged"));
    // Within a text it is a character like any other.
    assert_eq!(taken(&[&page(&["a\u{feff}\\\""], "")]), Ok(vec!["a\u{feff}\"".to_owned()]));
}

#[test]
fn f04_a_file_that_names_a_next_page_is_refused_by_name_whatever_the_other_files_say() {
    let (cut, whole) = (page(&["a"], "A"), page(&["b"], ""));
    for (files, file) in [
        (vec![&cut[..]], 0),
        (vec![&cut, &whole], 0),
        (vec![&whole, &cut], 1),
        (vec![&whole, &cut, &whole], 1),
        (vec![&format!("{whole}{cut}")], 0),
        (vec![&format!("[{cut}]")], 0),
        (vec![&format!(r#"{{"value":[{cut}],"Count":1}}"#)], 0),
    ] {
        let error = taken(&files).expect_err("an error");
        let start = format!("cannot read /page{file}.json, NextToken: its last page names a next one");
        assert!(error.starts_with(&start) && error.contains("--pages"), "{files:?}: {error}");
    }
    let mixed = taken(&[&format!("{whole}{cut}{whole}")]).expect_err("an error");
    assert!(mixed.contains("give each list a file of its own"), "{mixed}");
}

#[test]
fn f04_pages_of_one_list_are_taken_if_exactly_one_is_the_last_and_none_is_there_twice() {
    let (first, second, last) = (page(&["a"], "A"), page(&["b"], "B"), page(&["c"], ""));
    // A shell sorts page10 before page2.
    for files in [[&first, &second, &last], [&last, &first, &second]] {
        assert_eq!(taken_as_pages(&files.map(String::as_str)).map(|names| names.len()), Ok(3));
    }
    assert_eq!(taken_as_pages(&[&format!("{first}\n{second}"), &last]).map(|names| names.len()), Ok(3));
    for (files, words) in [
        (
            vec![&first[..], &second],
            "/page1.json, NextToken: it names a next page, and none of the files is the last page",
        ),
        (vec![&first, &last, &last], "/page2.json, NextToken: it is a last page, and so is /page1.json"),
        (
            vec![&first, &second, &first, &last],
            "/page2.json, NextToken: it names the same next page as /page0.json does",
        ),
        (vec![&first, &item("c")], "give items without --pages"),
    ] {
        let error = taken_as_pages(&files).expect_err("an error");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut dump = Dump::new(vec![PathBuf::from("nowhere.json")], FilesAre::Whole, run_id());
    let error = dump.next_part().expect_err("an error").to_string();
    assert!(error.starts_with("cannot read nowhere.json: "), "{error}");
}
