//! Files that unpack to far more than they are: each is refused soon, and without taking the memory of the machine.

use crate::support::{Scene, start};
use std::io::Write;
use std::time::{Duration, Instant};

/// More than what any of these would have as text.
const PEAK_KIB: u64 = 600 * 1024;

const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// A text that begins and then goes on with the same for so many bytes, compressed.
fn packed(begin: &str, part: &str, bytes: usize) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.write_all(begin.as_bytes()).expect("written");
    let parts = part.repeat((64 * 1024_usize).div_ceil(part.len()));
    for _ in 0..bytes.div_ceil(parts.len()) {
        encoder.write_all(parts.as_bytes()).expect("written");
    }
    encoder.finish().expect("compressed")
}

#[test]
fn a_file_that_is_made_to_take_all_memory_is_refused_with_what_is_wrong_with_it() {
    const TEXT_BYTES: usize = 128 * 1024 * 1024;
    let scene = Scene::of_accounts(4);
    let pipeline = scene.pipeline("").display().to_string();
    let packs = "{\"AggregateComplianceByConformancePacks\":[";
    let too_long = "a value has more than 1048576 bytes";
    for (begin, part, why) in [
        ("{\"NextToken\":\"", "a", too_long),
        ("{\"Count\":", "1", too_long),
        (
            "[",
            "{},",
            "neither an answer of describe-aggregate-compliance-by-conformance-packs or -by-config-rules nor an",
        ),
        ("", " ", "it unpacks to more than 400 times its size"),
        (packs, "{},", "it unpacks to more than 400 times its size"),
        ("", "[", "recursion limit exceeded"),
    ] {
        let file = scene.path("bomb.zst");
        std::fs::write(&file, packed(begin, part, TEXT_BYTES)).expect("written");
        let path = file.display().to_string();
        let import = ["import", &pipeline, "--aggregator", "org", "--date", "2026-02-01", &path];
        let (started, mut child, mut peak_kib) = (Instant::now(), start(scene.command(&import)), 0_u64);
        while child.try_wait().expect("a process").is_none() {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let now = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = now.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
            peak_kib = peak_kib.max(now.unwrap_or_default());
            if peak_kib > PEAK_KIB || started.elapsed() > ENDS_WITHIN {
                child.kill().expect("killed");
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        let output = child.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(peak_kib < PEAK_KIB, "{begin}{part}: {peak_kib} KiB");
        assert_eq!(output.status.code(), Some(1), "{begin}{part}: {said}");
        assert!(said.contains("bomb.zst") && said.contains(why), "{begin}{part}: {said}");
        let taken = std::fs::read_dir(scene.path("lake/pack_compliance"));
        assert!(taken.is_err(), "nothing of it is committed");
    }
}
