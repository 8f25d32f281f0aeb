package import LockerKit

/// Towers that have Bluetooth Low Energy and no internet (docs/tower-link.md).
package enum BLETowerDriver: LockDriver {
    package static let name = "ble-tower"
    package static let version = "0.1.0"

    /// Makes the controllers of one link; they share its thread.
    package static func makeControllers(
        for link: LinkDescription, context: DriverContext
    ) throws(LockerError) -> [String: any LockController] {
        let plans = try link.controllers.map { description throws(LockerError) in
            try TowerPlan(description, link: link.options)
        }
        let queue = DeviceQueue(label: context.link)
        return Dictionary(
            uniqueKeysWithValues: plans.map { plan in
                (plan.id, TowerController(plan, on: queue, context: context))
            })
    }

    package static func remarks(on link: LinkDescription) -> [String] {
        guard link.controllers.count > 1 else { return [] }
        return [
            "the \(link.controllers.count) towers of \(link.name) are asked one after the other: one that is out of reach keeps the others waiting; a link each does not"
        ]
    }
}
