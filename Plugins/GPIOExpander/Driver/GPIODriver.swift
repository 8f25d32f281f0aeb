import GPIOLines
import Glibc
package import LockerKit

/// Locks and sensors on the lines of GPIO chips of this machine, expanders above all.
package enum GPIODriver: LockDriver {
    /// The module's name.
    package static let name = "gpio-expander"
    /// The module's version.
    package static let version = "0.1.0"

    /// Makes the controllers of one link; they share the guardian.
    package static func makeControllers(
        for link: LinkDescription, context: DriverContext
    ) throws(LockerError) -> [String: any LockController] {
        try makeControllers(for: link, context: context, guardian: programBeside("coil-guardian"))
    }

    package static func makeControllers(
        for link: LinkDescription, context: DriverContext, guardian program: String
    ) throws(LockerError) -> [String: ExpanderController] {
        guard access(program, X_OK) == 0 else {
            throw LockerError(
                .invalidRequest,
                "\(program) is missing; without that second process nobody would end a pulse when this one dies"
            )
        }
        let plans = try link.controllers.map { description throws(LockerError) in
            try ExpanderPlan(description, link: link.options)
        }
        guard plans.count <= Limits.controllers else {
            throw LockerError(
                .invalidRequest,
                "\(link.name) has \(plans.count) controllers; want at most \(Limits.controllers), and another link for the rest"
            )
        }
        let hand = GuardianHand(program: program, context: context)
        return Dictionary(
            uniqueKeysWithValues: plans.enumerated().map { number, plan in
                (plan.id, ExpanderController(plan, bank: number, hand: hand, context: context))
            })
    }

    /// What an installer should know of controllers whose files leave something open.
    package static func remarks(on link: LinkDescription) -> [String] {
        link.controllers.flatMap { description -> [String] in
            guard let plan = try? ExpanderPlan(description, link: link.options) else { return [] }
            var remarks = plan.profile?.remarks(on: plan) ?? []
            if plan.lacksOpenLevel {
                remarks.append(
                    "the doors of \(plan.id) are unknown until open_level says what a sensor of an open door does: 0 or 1"
                )
            }
            if !plan.isOffKnown {
                remarks.append(
                    "nobody has seen yet that \(plan.id) fires at the level its file says, so its lines are driven during a pulse only: `lockerctl commission \(plan.id)` finds out"
                )
            }
            return remarks
        }
    }

    /// A program in the folder that this one is in.
    private static func programBeside(_ name: String) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { readlink("/proc/self/exe", $0, bytes.count) } ?? 0
        }
        let path = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
        let folder = path.lastIndex(of: "/").map { path[..<$0] } ?? ""
        return "\(folder)/\(name)"
    }
}
