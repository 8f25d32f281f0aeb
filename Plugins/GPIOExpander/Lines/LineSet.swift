import CGPIO
import Glibc

/// How lines are wired.
package struct Wiring: Sendable, Equatable {
    package enum Bias: String, Sendable, CaseIterable {
        case asIs = "as-is"
        case disabled
        case pullUp = "pull-up"
        case pullDown = "pull-down"
    }

    package enum Drive: String, Sendable, CaseIterable {
        case pushPull = "push-pull"
        case openDrain = "open-drain"
        case openSource = "open-source"
    }

    package var bias: Bias
    package var drive: Drive

    package init(bias: Bias = .asIs, drive: Drive = .pushPull) {
        self.bias = bias
        self.drive = drive
    }
}

/// A change of an input.
package struct Edge: Sendable, Equatable {
    package let offset: Int
    /// The level of the wire since then.
    package let level: Bool
    /// When, in nanoseconds of the kernel's monotonic clock.
    package let at: UInt64

    package init(offset: Int, level: Bool, at: UInt64) {
        self.offset = offset
        self.level = level
        self.at = at
    }
}

/// Lines of one chip that were requested together and are held until this is gone.
///
/// Levels are those of the wire. Not for two threads at once.
package final class LineSet {
    /// As many as one request can take.
    package static let most = Int(LKD_GPIO_LINES)

    package let offsets: [Int]
    private let name: String
    private let handle: OpaquePointer

    /// Outputs that begin at `levels`.
    package convenience init(
        outputs offsets: [Int], of chip: Chip, at levels: [Bool], wiring: Wiring, consumer: String
    ) throws(GPIOFailure) {
        precondition(offsets.count == levels.count, "each output begins at a level of its own")
        var wish = lkd_gpio_wish()
        wish.is_output = true
        try self.init(offsets, chip, wish, wiring, levels, consumer)
    }

    /// Inputs, whose edges are watched where that is wanted; not every chip can.
    package convenience init(
        inputs offsets: [Int], of chip: Chip, wiring: Wiring, areWatched: Bool, consumer: String
    ) throws(GPIOFailure) {
        var wish = lkd_gpio_wish()
        wish.wants_edges = areWatched
        try self.init(offsets, chip, wish, wiring, [], consumer)
    }

    private init(
        _ offsets: [Int], _ chip: Chip, _ wish: lkd_gpio_wish, _ wiring: Wiring, _ levels: [Bool],
        _ consumer: String
    ) throws(GPIOFailure) {
        for offset in offsets where !(0..<chip.lines).contains(offset) {
            throw GPIOFailure(
                EINVAL, "line \(offset) of \(chip.name): it has \(chip.lines), from 0")
        }
        var wish = wish
        wish.bias =
            switch wiring.bias {
            case .asIs: LKD_GPIO_BIAS_AS_IS
            case .disabled: LKD_GPIO_BIAS_DISABLED
            case .pullUp: LKD_GPIO_BIAS_PULL_UP
            case .pullDown: LKD_GPIO_BIAS_PULL_DOWN
            }
        wish.drive =
            switch wiring.drive {
            case .pushPull: LKD_GPIO_PUSH_PULL
            case .openDrain: LKD_GPIO_OPEN_DRAIN
            case .openSource: LKD_GPIO_OPEN_SOURCE
            }
        var lines: OpaquePointer?
        let result = lkd_gpio_request(
            chip.path, consumer, offsets.map(UInt32.init), offsets.count, &wish,
            levels.map { $0 ? 1 : 0 }, &lines)
        guard result == 0, let lines else { throw Self.refusal(result, offsets, chip) }
        self.offsets = offsets
        name = chip.name
        handle = lines
    }

    deinit { lkd_gpio_release(handle) }

    /// Names who is in the way, where somebody is.
    private static func refusal(_ result: Int32, _ offsets: [Int], _ chip: Chip) -> GPIOFailure {
        let taken = offsets.lazy.compactMap { try? chip.line($0) }.first(where: \.isUsed)
        if result == -EBUSY, let taken {
            let who = taken.consumer.isEmpty ? "somebody" : "\"\(taken.consumer)\""
            return GPIOFailure(
                EBUSY, "line \(taken.offset) of \(chip.name): \(who) uses it already")
        }
        let list = offsets.map(String.init).joined(separator: ", ")
        return GPIOFailure(result, doing: "lines \(list) of \(chip.name)")
    }

    /// The levels of all lines, in the order of ``offsets``.
    package func levels() throws(GPIOFailure) -> [Bool] {
        var levels = [Int32](repeating: 0, count: offsets.count)
        let result = lkd_gpio_get(handle, &levels)
        guard result == 0 else { throw GPIOFailure(result, doing: "reading \(name)") }
        return levels.map { $0 != 0 }
    }

    /// Drives one line, by its place in ``offsets``.
    package func set(_ index: Int, to level: Bool) throws(GPIOFailure) {
        let result = lkd_gpio_set(handle, index, level ? 1 : 0)
        guard result == 0 else {
            throw GPIOFailure(result, doing: "line \(offsets[index]) of \(name)")
        }
    }

    /// What becomes readable when edges have come; empty where nobody watches for them.
    package func descriptors() throws(GPIOFailure) -> [Int32] {
        var descriptors = [Int32](repeating: -1, count: offsets.count)
        let count = lkd_gpio_descriptors(handle, &descriptors)
        guard count >= 0 else { throw GPIOFailure(count, doing: "watching \(name)") }
        return Array(descriptors.prefix(Int(count)))
    }

    /// The edges behind one of the ``descriptors()``, which must be readable.
    package func edges(behind index: Int) throws(GPIOFailure) -> [Edge] {
        var edges = [lkd_gpio_edge](repeating: lkd_gpio_edge(), count: Int(LKD_GPIO_EDGES))
        let count = lkd_gpio_read_edges(handle, index, &edges)
        guard count >= 0 else { throw GPIOFailure(count, doing: "reading \(name)") }
        return edges.prefix(Int(count)).map {
            Edge(offset: Int($0.offset), level: $0.level != 0, at: $0.nanoseconds)
        }
    }
}
