//! Words as a POSIX shell takes a line apart, without any shell: nothing is expanded, substituted or run.

/// Returns the words of a line; `None` where a quotation does not end.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(rest.next()?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// Adds what stands up to the closing quotation mark.
fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            '"' => return Some(()),
            '\\' => match rest.next()? {
                quoted @ ('"' | '\\') => word.push(quoted),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell_that_expands_nothing() {
        for (line, words) in [
            ("", &[][..]),
            ("  \t ", &[]),
            ("ostree-receive repo  url", &["ostree-receive", "repo", "url"]),
            ("'a b' c\\ d \"e f\"", &["a b", "c d", "e f"]),
            ("a'b'\"c\"d ''", &["abcd", ""]),
            (r#""\"\\\$" '\'"#, &["\"\\\\$", "\\"]),
            (
                "a;b $(c) `d` | e > f *",
                &["a;b", "$(c)", "`d`", "|", "e", ">", "f", "*"],
            ),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn quotation_without_an_end_is_no_line() {
        for line in ["'a", "a \"b", "a\\", "\"a\\"] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
