/// A text as it is, or quoted and escaped where it has more in it than letters, digits and `-`, `_`, `.` and `more`: lists of such texts
/// are the same only where the texts are.
///
/// ```
/// use compline_model::quoted;
///
/// assert_eq!(quoted("eu-west-1", ""), "eu-west-1");
/// assert_eq!((quoted("a,b", ""), quoted("*", ""), quoted("*", "*?")), (r#""a,b""#.into(), r#""*""#.into(), "*".into()));
/// ```
pub fn quoted(text: &str, more: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter) || more.contains(letter);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("{text:?}") }
}
