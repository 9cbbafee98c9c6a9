//! Amounts as people read them. Bytes are counted in powers of 1024.

use std::fmt;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes, to one decimal: `8.7 GiB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut power = if self.0 == 0 { 0 } else { self.0.ilog2() as usize / 10 };
        let tenths = |power: usize| {
            let unit = 1_u128 << (10 * power);
            (u128::from(self.0) * 10 + unit / 2) / unit
        };
        // 1023.96 MiB rounds to 1024.0 MiB, which is 1 GiB.
        if tenths(power) >= 10_240 {
            power += 1;
        }
        let text = match tenths(power) {
            whole if whole % 10 == 0 => format!("{} {}", whole / 10, UNITS[power]),
            part => format!("{}.{} {}", part / 10, part % 10, UNITS[power]),
        };
        f.pad(&text)
    }
}

/// Bytes, readable and to the byte: `8.7 GiB (9,341,234,176 bytes)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExactBytes(pub(crate) u64);

impl fmt::Display for ExactBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            few @ ..1024 => write!(f, "{few} bytes"),
            many => write!(f, "{} ({} bytes)", Bytes(many), Count(many)),
        }
    }
}

/// A number with its thousands apart: `153,732`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// Seconds as people say them: `6 s`, `7 min 58 s`, `2 h 5 min`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ ..60 => write!(f, "{seconds} s"),
            seconds @ 60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            seconds => write!(f, "{} h {} min", Count(seconds / 3600), seconds / 60 % 60),
        }
    }
}

/// So many of something, in the right number: `1 file`, `2 files`, `3 directories`, `4 keys`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Of(number, noun) = *self;
        write!(f, "{} ", Count(number))?;
        match noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
            _ if number == 1 => f.write_str(noun),
            Some(stem) => write!(f, "{stem}ies"),
            None => write!(f, "{noun}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_to_what_a_person_wants_to_know() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (100 << 30, "100 GiB"),
            (9_341_234_176, "8.7 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text, "{bytes}");
        }
        assert_eq!(format!("{:>10}", Bytes(1536)), "   1.5 KiB");
    }

    #[test]
    fn exact_bytes_can_be_copied_into_a_script() {
        assert_eq!(ExactBytes(1).to_string(), "1 byte");
        assert_eq!(ExactBytes(512).to_string(), "512 bytes");
        assert_eq!(ExactBytes(107_374_182_400).to_string(), "100 GiB (107,374,182,400 bytes)");
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(Of(1, "file").to_string(), "1 file");
        assert_eq!(Of(0, "file").to_string(), "0 files");
        assert_eq!(Of(28_111, "directory").to_string(), "28,111 directories");
        assert_eq!(Of(7, "key").to_string(), "7 keys");
        assert_eq!(Of(1, "directory").to_string(), "1 directory");
        assert_eq!(Count(1_234_567).to_string(), "1,234,567");
    }
}
