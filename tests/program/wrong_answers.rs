//! Answers that are none of AWS Config's, or not whole: what the run says of them.

use crate::support::answers::serve;
use crate::support::{Ended, Scene, run};

/// A run against a server that always gives this answer; and how often it was asked for the list that it was asked for most. All are read
/// at the same time, and which of them fails the run is chance.
fn against(status: &'static str, content_type: &'static str, body: &'static str) -> (Ended, usize) {
    let (url, asked) = serve(move |_, _| (status, content_type, body.to_owned()));
    let scene = Scene::of_accounts(4);
    let path = scene.org_pipeline("lake", "", "max_attempts = 1\noperation_timeout_secs = 5");
    let text = std::fs::read_to_string(&path).expect("read");
    let endpoint = text.lines().find(|line| line.starts_with("endpoint_url")).expect("an endpoint").to_owned();
    std::fs::write(&path, text.replace(&endpoint, &format!("endpoint_url = \"{url}\""))).expect("written");
    let ended = run(scene.command_with_keys(&["run", &path.display().to_string()]));
    assert!(!scene.path("lake/pack_compliance").exists());
    let asked = asked.lock().expect("no panic");
    let of = |list: &str| asked.iter().filter(|request| request.contains(list)).count();
    let most = of("SourcesStatus").max(of("ComplianceByConformancePacks"));
    (ended, most)
}

#[test]
fn w5_the_status_the_place_and_the_body_of_a_wrong_answer_are_said_as_they_are_with_a_hint_that_fits() {
    let json = "application/x-amz-json-1.1";
    let (proxy, trouble) = ("this is not AWS Config: ", "is in trouble: run again later");
    for (status, content_type, body, said, hint) in [
        ("502 Bad Gateway", "text/html", "<b>bad \"gateway\"</b>", "HTTP 502: the answer cannot be read", proxy),
        ("502 Bad Gateway", "text/html", "<b>bad \"gateway\"</b>", "the answer starts: <b>bad \"gateway\"</b>", proxy),
        ("503 Unavailable", "text/plain", "", "HTTP 503: the answer is empty", trouble),
        ("500 Error", json, "{}", "HTTP 500: ", trouble),
        ("204 No Content", "text/plain", "", "HTTP 204: the answer is empty", proxy),
        ("301 Moved\r\nlocation: http://elsewhere/x", "text/plain", "", "HTTP 301 to http://elsewhere/x: ", proxy),
        ("307 Moved\r\nlocation: http://elsewhere/x", "text/html", "<a>", "HTTP 307 to http://elsewhere/x: ", proxy),
        ("403 Forbidden", "text/html", "<html>", "HTTP 403: ", proxy),
        ("200 OK", "text/plain", "", "HTTP 200: the answer is empty", proxy),
        ("429 Slow down", "text/plain", "slow", "HTTP 429: ", "others use this account's limit too"),
    ] {
        let (ended, _) = against(status, content_type, body);
        assert_eq!(ended.code, Some(1), "{status}: {ended:?}");
        assert!(ended.stdout.contains(said), "{status}: {ended:?}");
        assert!(ended.stdout.contains(hint), "{status}: {ended:?}");
        assert_eq!(ended.stdout.contains(proxy), hint == proxy, "{status}: {ended:?}");
    }
}

#[test]
fn a_password_in_a_pipeline_file_is_not_said() {
    let scene = Scene::of_accounts(4);
    for line in ["endpoint_url = \"http://user:secret-word@host/x\"", "endpoint_url = \"ftp://secret-word@host\""] {
        let path = scene.org_pipeline("lake", "", "");
        let text = std::fs::read_to_string(&path).expect("read");
        let endpoint = text.lines().find(|line| line.starts_with("endpoint_url")).expect("an endpoint").to_owned();
        std::fs::write(&path, text.replace(&endpoint, line)).expect("written");
        let ended = run(scene.command(&["run", &path.display().to_string()]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("://***@host") && !ended.stderr.contains("secret-word"), "{ended:?}");
    }
}

#[test]
fn w5_a_body_that_is_cut_is_asked_for_again_before_it_is_an_error() {
    let body = r#"{"AggregatedSourceStatusList":[{"SourceId":"1111"#;
    let (ended, asked) = against("200 OK", "application/x-amz-json-1.1", body);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("HTTP 200: the answer breaks off each time")
            && ended.stdout.contains("the answer starts: {\"Aggregated"),
        "{ended:?}"
    );
    assert!(asked >= 4, "{asked}");
    // One in chunks does not say how long it is. It is asked for as often as the settings say.
    for chunks in ["5\r\n{\"Agg\r\n", "5\r\n{\"A", "5\r\n{\"Agg\r\nzz\r\n"] {
        let (ended, _) = against("200 OK", "application/x-amz-json-1.1\r\ntransfer-encoding: chunked", chunks);
        assert!(ended.stdout.contains("HTTP 200: the answer breaks off each time"), "{chunks:?}: {ended:?}");
    }
}
