//! Numbers of things, for people.

/// Returns `1 ref`, `2 refs`, `2 directories`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    match noun.strip_suffix('y') {
        _ if count == 1 => format!("{count} {noun}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!(counted(0_u64, "ref"), "0 refs");
        assert_eq!(counted(1_usize, "ref"), "1 ref");
        assert_eq!(counted(2_u64, "ref"), "2 refs");
        assert_eq!(counted(1_u64, "directory"), "1 directory");
        assert_eq!(counted(2_u64, "directory"), "2 directories");
        assert_eq!(counted(2_u64, "key"), "2 keys");
    }
}
