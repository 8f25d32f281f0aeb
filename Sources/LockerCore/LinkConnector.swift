package import LockerKit
package import SiteModel

/// Where the core gets its controllers from. The module host implements it with processes, tests with a list.
package protocol LinkConnector: Sendable {
    /// Keeps one link running until the task is cancelled, reporting every change of its state.
    ///
    /// On cancellation it stops the controllers (coils off), ends the module and returns; no report comes after that.
    func run(_ link: LinkPlan, report: @escaping @Sendable (LinkReport) async -> Void) async

    /// Ends the link's module, if there is one, and starts it anew at once, also out of quarantine.
    func restart(link: String) async
}

/// What became of a link's module.
package enum LinkReport: Sendable {
    /// A module is being started. `restarts` counts the starts after the first.
    case starting(restarts: Int)
    /// The module serves these controllers, keyed by id, all started (or "not now": their reads will tell).
    case ready(controllers: [String: any LockController], restarts: Int)
    /// The module is gone or could not be started; another start follows by itself.
    case down(reason: String, restarts: Int)
    /// The module died too often; nothing is started before `until`, or before `restart(link:)`.
    case quarantined(reason: String, restarts: Int)
    /// A controller was told to come to rest and could not switch an output off; `reason` says which.
    ///
    /// There is no report of the opposite: a driver that has nothing to switch off has proved nothing about what was on before.
    case stuckAtRest(controller: String, reason: String)
    /// Readings that the module sent by itself.
    case doors(controller: String, doors: [DoorReading])
}
