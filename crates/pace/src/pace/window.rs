//! Throttles counted over so many calls.

/// Counts the throttles of so many calls, and then of so many again.
#[derive(Debug)]
pub(super) struct Window {
    of: u32,
    calls: u32,
    throttles: u32,
}

impl Window {
    pub(super) fn new(of: u32) -> Self {
        Self { of, calls: 0, throttles: 0 }
    }

    /// Begins again.
    pub(super) fn begin(&mut self) {
        (self.calls, self.throttles) = (0, 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls == 0
    }

    /// A call was answered. Gives the throttles once there are as many as are counted, but not where nothing is let through: others use
    /// the limit up, which says nothing of the pace.
    pub(super) fn answered(&mut self, throttled: bool) -> Option<u32> {
        self.calls += 1;
        self.throttles += u32::from(throttled);
        if self.calls < self.of {
            return None;
        }
        let throttles = self.throttles;
        self.begin();
        (throttles < self.of).then_some(throttles)
    }
}
