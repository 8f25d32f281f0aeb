import Dispatch
import GPIOLines
import Glibc
import LockerKit
import Locks

/// The sensors of one controller: their lines, watched by a thread of its own, and what their edges come to.
final class SensorBank: Sendable {
    struct Sensor {
        let locker: Int
        /// The level of an open door; nil where nobody knows.
        let openLevel: Bool?
    }

    private struct State {
        /// Nil once they were let go.
        var lines: LineSet?
        var filters: [Int: SensorFilter]
        var failure: GPIOFailure?
        var isOver = false
    }

    private let controller: String
    private let sensors: [Int: Sensor]
    private let context: DriverContext
    private let descriptors: [Int32]
    private let wakeRead: Int32
    private let wakeWrite: Int32
    private let state: Mutex<State>

    /// Takes the lines and begins to watch them.
    ///
    /// - Parameter sensors: by the offsets of their lines.
    init(
        _ sensors: [Int: Sensor], of chip: Chip, plan: ExpanderPlan, consumer: String,
        context: DriverContext
    ) throws(GPIOFailure) {
        let lines = try LineSet(
            inputs: sensors.keys.sorted(), of: chip, wiring: plan.inputs,
            debounceMicroseconds: UInt32(plan.debounce.wholeMicroseconds), consumer: consumer)
        controller = plan.id
        self.sensors = sensors
        self.context = context
        descriptors = try lines.descriptors()
        let still = lines.isDebounced ? .zero : plan.debounce
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
        let filters = sensors.mapValues { _ in SensorFilter(still: still, at: now) }
        state = Mutex(State(lines: lines, filters: filters))
        // A serial queue of its own is a thread of its own while somebody waits on it.
        DispatchQueue(label: "lockerd.edges.\(plan.id)").async { self.watch() }
    }

    deinit {
        close(wakeRead)
        close(wakeWrite)
    }

    /// Lets go of the lines; nothing is reported any more.
    func end() {
        state.withLock { state in
            state.isOver = true
            state.lines = nil
        }
        wake()
    }

    /// Reads all sensors now. What an edge has not told yet is told by this.
    func read() throws(GPIOFailure) -> [DoorReading] {
        var news: [DoorReading] = []
        let result: Result<[DoorReading], GPIOFailure> = state.withLock { state in
            if let failure = state.failure { return .failure(failure) }
            guard let lines = state.lines else {
                return .failure(GPIOFailure(ENODEV, "the sensors of \(controller) were let go"))
            }
            do throws(GPIOFailure) {
                // Before they are read: a level was seen no later than that, also where it has changed right afterwards.
                let now = context.clock.now
                let levels = try lines.levels()
                for (offset, level) in zip(lines.offsets, levels) {
                    if let finding = state.filters[offset]?.note(reading: level, at: now),
                        let sensor = sensors[offset]
                    {
                        news.append(reading(sensor, finding))
                    }
                }
                return .success(
                    sensors.compactMap { offset, sensor in
                        state.filters[offset].map { reading(sensor, $0.finding) }
                    })
            } catch {
                state.failure = error
                return .failure(error)
            }
        }
        // A change may have to be still for a while, and nobody else would look at the clock for it.
        wake()
        // Whoever reads one door before a pulse does not hand on what he has found of the others.
        if !news.isEmpty { context.report(controller, news) }
        return try result.get()
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
        while true {
            let (isOver, due) = state.withLock { state in
                (
                    state.isOver || state.failure != nil,
                    state.filters.values.compactMap(\.nextDue).min()
                )
            }
            if isOver { return }
            let readable = wait(until: due)
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
