import Dispatch
import GPIOLines
import Glibc
import LockerKit
import Locks

/// The sensors of one controller: their lines, watched by a thread of its own, and what their edges come to.
///
/// Bounces are filtered here and not by the kernel: behind its filter an input that never rests looks like one that does.
final class SensorBank: Sendable {
    struct Sensor {
        let locker: Int
        /// The level of an open door; nil where nobody knows.
        let openLevel: Bool?
    }

    private struct State {
        /// Nil once they were let go, which only the thread does: lines that somebody waits for stay taken.
        var lines: LineSet?
        var filters: [Int: SensorFilter]
        var failure: GPIOFailure?
        var isOver = false
    }

    private let controller: String
    private let sensors: [Int: Sensor]
    private let context: DriverContext
    private let canary: Int?
    private let chip: Chip
    /// Empty where the chip tells no edges, and is read instead.
    private let descriptors: [Int32]
    private let wakeRead: Int32
    private let wakeWrite: Int32
    private let state: Mutex<State>
    private let isLetGo = DispatchSemaphore(value: 0)

    /// Takes the lines and begins to watch them.
    init(
        _ found: FoundLines, plan: ExpanderPlan, consumer: String, context: DriverContext
    ) throws(GPIOFailure) {
        chip = found.inputChip
        sensors = found.sensors
        canary = plan.canary
        controller = plan.id
        self.context = context
        let offsets = (found.sensors.keys + (plan.canary.map { [$0] } ?? [])).sorted()
        let lines = try Self.take(offsets, of: chip, plan, consumer, context)
        descriptors = try lines.descriptors()
        let now = context.clock.now
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0,
            ends.allSatisfy({
                fcntl($0, F_SETFD, FD_CLOEXEC) == 0 && fcntl($0, F_SETFL, O_NONBLOCK) == 0
            })
        else {
            throw GPIOFailure(errno, "no pipe to watch \(chip.name) with")
        }
        (wakeRead, wakeWrite) = (ends[0], ends[1])
        let filters = sensors.mapValues { _ in SensorFilter(still: plan.debounce, at: now) }
        state = Mutex(State(lines: lines, filters: filters))
        // A serial queue of its own is a thread of its own while somebody waits on it.
        DispatchQueue(label: "lockerd.edges.\(plan.id)").async { self.watch() }
    }

    private static func take(
        _ offsets: [Int], of chip: Chip, _ plan: ExpanderPlan, _ consumer: String,
        _ context: DriverContext
    ) throws(GPIOFailure) -> LineSet {
        do throws(GPIOFailure) {
            return try LineSet(
                inputs: offsets, of: chip, wiring: plan.inputs, areWatched: true, consumer: consumer
            )
        } catch {
            guard error.mayLackInterrupt else { throw error }
            let lines = try LineSet(
                inputs: offsets, of: chip, wiring: plan.inputs, areWatched: false,
                consumer: consumer)
            context.warning(
                "\(chip.name) (\(chip.label)) tells no edges, as its interrupt is not connected or not named to the kernel; the sensors of \(plan.id) are read every \(Limits.pollInterval.wholeMicroseconds / 1000) ms instead"
            )
            return lines
        }
    }

    deinit {
        close(wakeRead)
        close(wakeWrite)
    }

    /// Lets go of the lines; nothing is reported any more. Waits until they are free, or as long as a bus may hang.
    func end() {
        let wasOver = state.withLock { state in
            defer { state.isOver = true }
            return state.isOver
        }
        guard !wasOver else { return }
        wake()
        _ = isLetGo.wait(timeout: .now() + .seconds(1))
    }

    /// Reads all sensors now. What an edge has not told yet is told by this.
    func read() throws(GPIOFailure) -> [DoorReading] {
        let failure = look()
        // A change may have to be still for a while, and nobody else would look at the clock for it.
        wake()
        if let failure { throw failure }
        return state.withLock { state in
            sensors.compactMap { offset, sensor in
                state.filters[offset].map { reading(sensor, $0.finding) }
            }
        }
    }

    /// Reads all lines, and reports what is new: whoever reads one door before a pulse does not hand on what he has found of others.
    private func look() -> GPIOFailure? {
        var news: [DoorReading] = []
        let failure: GPIOFailure? = state.withLock { state in
            if let failure = state.failure { return failure }
            guard let lines = state.lines, !state.isOver else {
                return GPIOFailure(ENODEV, "the sensors of \(controller) were let go")
            }
            do throws(GPIOFailure) {
                // Before they are read: a level was seen no later than that, also where it has changed right afterwards.
                let now = context.clock.now
                let levels = try levels(of: lines)
                for (offset, level) in zip(lines.offsets, levels) {
                    if let finding = state.filters[offset]?.note(reading: level, at: now),
                        let sensor = sensors[offset]
                    {
                        news.append(reading(sensor, finding))
                    }
                }
                return nil
            } catch {
                state.failure = error
                return error
            }
        }
        if !news.isEmpty { context.report(controller, news) }
        return failure
    }

    /// Not those of a chip that does not answer, where its driver makes low levels of that.
    private func levels(of lines: LineSet) throws(GPIOFailure) -> [Bool] {
        let levels = try lines.levels()
        guard let canary, let place = lines.offsets.firstIndex(of: canary), !levels[place] else {
            return levels
        }
        throw GPIOFailure(
            EIO, "line \(canary) of \(chip.name), its canary, reads low: the chip does not answer")
    }

    private func reading(_ sensor: Sensor, _ finding: SensorFilter.Finding) -> DoorReading {
        let door: DoorState
        if let level = finding.level, let openLevel = sensor.openLevel {
            door = level == openLevel ? .open : .closed
        } else {
            door = .unknown
        }
        return DoorReading(locker: sensor.locker, door: door, takenAt: finding.at)
    }

    private func wake() {
        var byte: UInt8 = 0
        // A full pipe has woken its reader already.
        _ = write(wakeWrite, &byte, 1)
    }

    // MARK: The thread

    private func watch() {
        defer {
            state.withLock { $0.lines = nil }
            isLetGo.signal()
        }
        var nextLook = descriptors.isEmpty ? context.clock.now : nil
        while true {
            let (isOver, due) = state.withLock { state in
                (
                    state.isOver || state.failure != nil,
                    state.filters.values.compactMap(\.nextDue).min()
                )
            }
            if isOver { return }
            let readable = wait(until: [due, nextLook].compactMap(\.self).min())
            if let moment = nextLook, moment <= context.clock.now {
                _ = look()
                nextLook = context.clock.now + Limits.pollInterval
            }
            var news: [DoorReading] = []
            for index in readable { news += take(behind: index) }
            news += pass()
            if !news.isEmpty { context.report(controller, news) }
        }
    }

    /// Waits for edges, and returns behind which descriptors there are some.
    private func wait(until due: ContinuousClock.Instant?) -> [Int] {
        var polled = ([wakeRead] + descriptors).map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        var limit: Int32 = -1
        if let due {
            // Rounded up, so that the time is over when the poll is.
            let left = max(.zero, context.clock.now.duration(to: due))
            limit = Int32(clamping: left.wholeMicroseconds / 1000 + 1)
        }
        guard poll(&polled, nfds_t(polled.count), limit) > 0 else { return [] }
        if polled[0].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            while Glibc.read(wakeRead, &bytes, bytes.count) > 0 {}
        }
        let gone = polled.dropFirst().contains {
            $0.revents != 0 && Int32($0.revents) & POLLIN == 0
        }
        if gone {
            state.withLock { state in
                state.failure = state.failure ?? GPIOFailure(ENODEV, "the chip is gone")
            }
            return []
        }
        return descriptors.indices.filter { polled[$0 + 1].revents != 0 }
    }

    private func take(behind index: Int) -> [DoorReading] {
        state.withLock { state in
            guard let lines = state.lines else { return [] }
            do throws(GPIOFailure) {
                var news: [DoorReading] = []
                for edge in try lines.edges(behind: index) {
                    let moment = instant(edge.at)
                    if let finding = state.filters[edge.offset]?.note(edge: edge.level, at: moment),
                        let sensor = sensors[edge.offset]
                    {
                        news.append(reading(sensor, finding))
                    }
                }
                return news
            } catch {
                state.failure = error
                return []
            }
        }
    }

    private func pass() -> [DoorReading] {
        let now = context.clock.now
        return state.withLock { state in
            sensors.compactMap { offset, sensor in
                state.filters[offset]?.pass(now).map { reading(sensor, $0) }
            }
        }
    }

    /// The moment of the kernel's monotonic clock, on the context's.
    private func instant(_ nanoseconds: UInt64) -> ContinuousClock.Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        let age = now > nanoseconds ? now - nanoseconds : 0
        // Kernels before 5.7 gave these edges the time of day, which is in no relation.
        guard age < 60_000_000_000 else { return context.clock.now }
        return context.clock.now - .nanoseconds(Int64(age))
    }
}

extension Duration {
    var wholeMicroseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
