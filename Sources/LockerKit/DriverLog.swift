import Logging

// A driver that logs a line now and then needs no import but this room's.
extension DriverContext {
    /// Logs what a person may like to know.
    public func info(_ message: String) { logger.info("\(message)") }

    /// For whoever looks closely: connections, sessions, bytes.
    public func debug(_ message: String) { logger.debug("\(message)") }

    /// Logs what somebody should look at when there is time.
    public func warning(_ message: String) { logger.warning("\(message)") }

    /// Logs what keeps the hardware from working.
    public func error(_ message: String) { logger.error("\(message)") }
}
