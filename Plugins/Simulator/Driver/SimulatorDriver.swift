package import LockerKit

/// Lockers that exist in memory: a driver like any other, with faults on demand.
package enum SimulatorDriver: LockDriver {
    /// The module's name.
    package static let name = "simulator"
    /// The module's version.
    package static let version = "0.1.0"

    /// Makes the controllers of one simulated link.
    package static func makeControllers(
        for link: LinkDescription, context: DriverContext
    ) throws(LockerError) -> [String: any LockController] {
        try makeControllers(for: link, context: context, disaster: .real)
    }

    package static func makeControllers(
        for link: LinkDescription, context: DriverContext, disaster: Disaster
    ) throws(LockerError) -> [String: SimulatedController] {
        let settings = try LinkSettings(link.options)
        let journal = try settings.journal.map { path throws(LockerError) in
            try CoilJournal(path: path)
        }
        let shared = SimulatedLink(
            settings: settings, context: context, disaster: disaster, journal: journal)
        var controllers: [String: SimulatedController] = [:]
        for description in link.controllers {
            controllers[description.id] = try SimulatedController(description, link: shared)
        }
        return controllers
    }
}
