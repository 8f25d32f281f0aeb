package import BusKit
package import LockerKit

/// A model of board as its profile file describes it.
package struct BoardProfile: Sendable, Equatable {
    /// The families of boards whose frames this driver knows.
    package enum Family: String, Sendable, CaseIterable {
        case kerong = "kr-cu16"
        case hex = "8a80"
        case winnsen
        case wkly
    }

    package let family: Family
    /// Whether the board answers an order.
    package let answersOrders: Bool
    /// How long the board energises a lock; it cannot be told otherwise.
    package let pulse: Duration
    /// How many locks may be energised at once.
    package let atOnce: Int
    /// Whether the doors are read with one question for all of them.
    package let readsAll: Bool
    package let stateOrder: HexCodec.StateOrder
    /// The level of an open door; nil where it depends on the locks and somebody has to say it.
    package let openLevel: Bool?
    /// The rate that the board is set to when it is new.
    package let baud: Int
    package let timing: BoardTiming

    package init(_ options: Options) throws(LockerError) {
        family = try options.choice("family") ?? .kerong
        let orders = try options.table("orders")
        answersOrders = try orders.optionalBoolean("answered") ?? true
        pulse = .milliseconds(try orders.integer("pulse_ms", in: Limits.pulse))
        atOnce = try orders.optionalInteger("at_once", in: 1...64) ?? 1
        let doors = try options.table("doors")
        readsAll = try doors.optionalString("read") ?? "each" == "all"
        stateOrder = try doors.choice("order") ?? .lowestFirst
        openLevel = try doors.optionalInteger("open", in: 0...1).map { $0 == 1 }
        baud = try options.table("line").optionalInteger("baud") ?? 9600
        timing = try BoardTiming(options.table("timing"))
        if readsAll, family == .hex, !doors.has("order") {
            throw LockerError(
                .invalidRequest,
                "board.doors.order is missing; want lowest-first or highest-first where all are read at once: boards differ, and the wrong one shows other lockers' doors"
            )
        }
        if readsAll, !family.codec.canReadAll {
            throw LockerError(
                .invalidRequest,
                "board.doors.read is \"all\"; want each, \(family.rawValue) boards tell of one lock at a time"
            )
        }
    }
}

extension BoardProfile.Family {
    /// What its boards speak.
    var codec: any Codec.Type {
        switch self {
        case .kerong: KerongCodec.self
        case .hex: HexCodec.self
        case .winnsen: WinnsenCodec.self
        case .wkly: WKLYCodec.self
        }
    }
}
