import BusKit
package import LockerKit

/// Lock boards on a serial line that speak frames of their own, each described by a board profile.
package enum SerialBoardDriver: LockDriver {
    /// The module's name.
    package static let name = "serial-board"
    /// The module's version.
    package static let version = "0.1.0"

    /// Makes the controllers of one line; they share the connection.
    package static func makeControllers(
        for link: LinkDescription, context: DriverContext
    ) throws(LockerError) -> [String: any LockController] {
        let plans = try link.controllers.map { description throws(LockerError) in
            try BoardPlan(description)
        }
        try check(plans)
        let settings = try LinkSettings(
            link.options, usualBaud: try usualBaud(of: plans, link.options))
        let slowest = plans.map(\.profile.timing.response).max() ?? .zero
        let connection = try SerialLink(settings, context: context, slowest: slowest)
        return Dictionary(
            uniqueKeysWithValues: plans.map { plan in
                (plan.id, SerialBoardController(plan, link: connection, context: context))
            })
    }

    private static func check(_ plans: [BoardPlan]) throws(LockerError) {
        var owners: [UInt8: String] = [:]
        for plan in plans {
            // Two boards with one number both act on every order: one open would open two doors.
            if let owner = owners.updateValue(plan.id, forKey: plan.codec.address) {
                throw LockerError(
                    .invalidRequest,
                    "controllers \(owner) and \(plan.id) both have address \(plan.codec.address); want one each"
                )
            }
            // What one family answers may be an order in the ears of another.
            if let first = plans.first, first.profile.family != plan.profile.family {
                throw LockerError(
                    .invalidRequest,
                    "\(first.id) is a \(first.profile.family.rawValue) board and \(plan.id) a \(plan.profile.family.rawValue) one; want one family on a line"
                )
            }
        }
    }

    private static func usualBaud(
        of plans: [BoardPlan], _ options: Options
    ) throws(LockerError) -> Int {
        let rates = Set(plans.map(\.profile.baud)).sorted()
        guard rates.count < 2 || options.has("baud") else {
            throw LockerError(
                .invalidRequest,
                "link.baud is missing; want the rate of all boards, whose profiles say \(rates.map(String.init).joined(separator: " and "))"
            )
        }
        return rates.first ?? 9600
    }
}
