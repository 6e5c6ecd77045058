use std::fmt;

/// The three answers AWS Config gives for a pack (the service model: `ConformancePackComplianceType`).
///
/// A text outside these is kept as it came and counted as unknown, so tables hold text, not this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComplianceType {
    /// All evaluated rules of the pack are compliant.
    Compliant,
    /// At least one rule of the pack is not compliant.
    NonCompliant,
    /// No rule of the pack could be evaluated.
    InsufficientData,
}

impl ComplianceType {
    /// Every type, in the order the service model lists them.
    pub const ALL: [Self; 3] = [Self::Compliant, Self::NonCompliant, Self::InsufficientData];

    /// The text on the wire and in the tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "COMPLIANT",
            Self::NonCompliant => "NON_COMPLIANT",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// The type of a text, or nothing for any other text: case counts.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

impl fmt::Display for ComplianceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b22_only_the_three_exact_texts_are_known() {
        for known in ComplianceType::ALL {
            assert_eq!(ComplianceType::parse(known.as_str()), Some(known));
        }
        for other in ["", "compliant", "NOT_APPLICABLE", "SOMETHING_NEW", "COMPLIANT "] {
            assert_eq!(ComplianceType::parse(other), None, "{other:?}");
        }
    }
}
