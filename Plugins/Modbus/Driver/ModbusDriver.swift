import BusKit
package import LockerKit

/// Lock controllers that speak Modbus, over TCP or a serial line, each described by a board profile.
package enum ModbusDriver: LockDriver {
    /// The module's name.
    package static let name = "modbus"
    /// The module's version.
    package static let version = "0.1.0"

    /// Makes the controllers of one line or endpoint; they share the connection.
    package static func makeControllers(
        for link: LinkDescription, context: DriverContext
    ) throws(LockerError) -> [String: any LockController] {
        let plans = try link.controllers.map { description throws(LockerError) in
            try BoardPlan(description)
        }
        try refuseSharedUnits(plans)
        let settings = try LinkSettings(link.options)
        if case .serial = settings.transport, let plan = plans.first(where: \.profile.isOnNetwork) {
            throw LockerError(
                .invalidRequest,
                "the board of \(plan.id) has no serial line; want transport = \"tcp\"")
        }
        let slowest = plans.map(\.profile.timing.response).max() ?? .zero
        let connection = try ModbusLink(settings, context: context, slowest: slowest)
        return Dictionary(
            uniqueKeysWithValues: plans.map { plan in
                (plan.id, ModbusController(plan, link: connection, context: context))
            })
    }

    /// Two boards with one number both act on every order: one open would open two doors.
    private static func refuseSharedUnits(_ plans: [BoardPlan]) throws(LockerError) {
        var owners: [UInt8: String] = [:]
        for plan in plans {
            if let owner = owners.updateValue(plan.id, forKey: plan.unit) {
                throw LockerError(
                    .invalidRequest,
                    "controllers \(owner) and \(plan.id) both have unit \(plan.unit); want one each"
                )
            }
        }
    }
}
