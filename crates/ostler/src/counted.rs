//! Numbers of things, for people.

/// Returns `1 ref`, `2 refs`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!(counted(0_u64, "ref"), "0 refs");
        assert_eq!(counted(1_usize, "ref"), "1 ref");
        assert_eq!(counted(2_u64, "ref"), "2 refs");
    }
}
