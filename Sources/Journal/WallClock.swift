import CPosixShim

/// What the kernel says of the wall clock.
package enum WallClock {
    /// Whether something keeps it right; an entry of the audit is worth more then.
    package static var isSynchronized: Bool { lkd_clock_is_synchronized() != 0 }
}
