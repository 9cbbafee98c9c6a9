//! Sizes as they are written on the command line.

/// Bytes meant by `text`: a whole number and a unit. `K`, `KiB`, `M`, `MiB`, ... are powers of 1024, `KB`, `MB`, ...
/// powers of 1000, as elsewhere on the command line; without a unit, bytes. Case does not matter.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err("write a whole number and a unit, such as 100GiB, 512M or 1048576".to_owned());
    }
    let lower = unit.trim().to_ascii_lowercase();
    let (prefix, base) = match lower.as_str() {
        "" | "b" => ("", 1_u64),
        lower => match (lower.strip_suffix("ib"), lower.strip_suffix('b')) {
            (Some(prefix), _) => (prefix, 1024),
            (None, Some(prefix)) => (prefix, 1000),
            (None, None) => (lower, 1024),
        },
    };
    let factor = match prefix {
        "" if base == 1 => 1,
        "k" => base,
        "m" => base.pow(2),
        "g" => base.pow(3),
        "t" => base.pow(4),
        "p" => base.pow(5),
        _ => {
            return Err(format!(
                "{unit:?} is no unit; units are K, M, G, T, P (KiB, MiB, ...) and KB, MB, ..."
            ));
        }
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "that is more than a disk can hold".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_are_those_of_other_tools() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512b", 512),
            ("512M", 512 << 20),
            ("100GiB", 100 << 30),
            ("100 gib", 100 << 30),
            ("2T", 2 << 40),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "GiB", "1.5G", "-1", "1X", "1ib", "1iB", "1 G G", "99999999999T", "18446744073709551616"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
