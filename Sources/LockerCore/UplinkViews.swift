package import SiteModel

/// The states of an uplink's module.
package enum UplinkState: String, Sendable, CaseIterable {
    case starting, ready
    /// Not running; another start follows by itself.
    case faulted
    /// Its module died too often and is left alone for a while, or until somebody asks for a restart.
    case quarantined
}

/// One uplink as the snapshot holds it.
package struct UplinkView: Sendable, Equatable {
    /// Unique among the site's uplinks; a controller may have the same one.
    package let name: String
    /// The module's name; nil where none was found.
    package let module: String?

    package var state: UplinkState = .starting
    /// When the state was entered.
    package var since: WallTime
    /// Starts of the module after the first.
    package var restarts = 0
    /// Why the module is not ready; while it is, why the newest beat was not delivered, or why the module died last.
    package var reason: String?
    /// When the upstream last took a beat.
    package var lastDelivered: ContinuousClock.Instant?

    package init(name: String, module: String?, since: WallTime) {
        self.name = name
        self.module = module
        self.since = since
    }
}
