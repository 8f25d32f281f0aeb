import SiteModel

/// How long the host waits for a module. `docs/module-protocol.md` promises the same numbers to module authors.
package enum ModuleDeadlines {
    package static let hello: Duration = .seconds(5)
    package static let configure: Duration = .seconds(5)
    package static let start: Duration = .seconds(10)
    /// On top of the pulse that was asked for, unless the module's manifest says otherwise.
    package static let openBeyondPulse: Duration = .seconds(5)
    package static let doors: Duration = .seconds(5)
    package static let act: Duration = .seconds(5)
    /// Longer than the longest open: where the bus is busy with a pulse, the off order comes after it.
    package static let stop: Duration = Limits.longestPulse + openBeyondPulse + .seconds(2)
    package static let cancel: Duration = .seconds(1)
    package static let deliver: Duration = .seconds(30)
    /// From end of file on the module's input to SIGKILL, whatever the reason: time to switch outputs off.
    package static let exit: Duration = .seconds(2)
    /// How long output that is still on its way may follow a module's death.
    static let lastWords: Duration = .milliseconds(250)
}

/// Limits on what a module can make the host hold.
package enum ModuleLimits {
    /// Calls that wait for the one before them; the next is refused with `BUSY`.
    package static let waitingCalls = 64
    /// `doors` notifications that the core has not taken yet; the oldest goes first, the next poll makes up for it.
    package static let heldDoorReports = 256
    /// Remarks on a link that are told.
    package static let remarks = 100
    /// Bytes kept of one line of standard error or of one `log` message.
    package static let logLineBytes = 1024
    /// Log lines of one module that are copied in a burst.
    package static let logBurst = 100
    /// Log lines of one module that are copied each second after a burst.
    package static let logLinesPerSecond = 20
    /// Members of a `log` notification's metadata that are copied.
    package static let logMetadata = 16
}
