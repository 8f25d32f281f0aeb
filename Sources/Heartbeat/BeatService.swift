import LockerCore
package import LockerKit
package import Logging
package import SiteModel

/// Composes beats and hands them to every uplink, at the plan's interval and whenever something important changed.
///
/// A beat is sent only while the core answers: a site whose core hangs falls silent, which is what monitoring alarms on.
package actor BeatService {
    /// Time the farewell has on a clean stop; a daemon must not hang because an upstream does.
    static let farewellLimit: Duration = .seconds(3)
    /// Events that may wait for the next look; what is lost beyond that is counted as missed.
    static let eventBacklog = 1000

    /// The way to one upstream, and who goes it.
    private struct Upstream {
        let lane: BeatLane
        var delivery: Task<Void, Never>?
    }

    private let source: any BeatSource
    private let version: String
    private let clock: any MonotonicClock
    private let wallClock: @Sendable () -> WallTime
    private let random: @Sendable () -> Double
    private let logger: Logger

    private let probe: CoreProbe
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    private let startedAt: ContinuousClock.Instant
    private let startMark: DeliveryMark
    private var every: Duration
    private var upstreams: [Upstream]
    /// What uplinks had taken that a reload took away: one that comes back must not count its opens anew. Grows only with
    /// the names that somebody writes into the configuration.
    private var former: [String: DeliveryRecord] = [:]
    private var schedule: BeatSchedule
    private var reader: EventReader
    private var reading: Task<Void, Never>?
    private var seq = 0
    private var tally = OpenTally()
    private var isRunning = false
    private var farewell: Task<Void, Never>?
    private var isCoreSilent = false

    /// Makes a service that does nothing before ``run()``. `random` yields numbers from 0 to below 1.
    package init(
        source: any BeatSource, sinks: [any BeatSink], plan: HeartbeatPlan, version: String,
        clock: any MonotonicClock = ContinuousClock(),
        wallClock: @escaping @Sendable () -> WallTime,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) },
        logger: Logger
    ) {
        self.source = source
        self.version = version
        every = plan.every
        self.clock = clock
        self.wallClock = wallClock
        self.random = random
        self.logger = logger
        probe = CoreProbe(clock: clock) { await source.ping() }
        (wakes, waker) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingNewest(1))
        startedAt = clock.now
        let startMark = DeliveryMark(startedAt: wallClock())
        self.startMark = startMark
        upstreams = sinks.map { sink in
            Upstream(
                lane: BeatLane(sink: sink, from: DeliveryRecord(mark: startMark), logger: logger))
        }
        schedule = BeatSchedule(every: plan.every, startingAt: startedAt)
        reader = EventReader(log: source.events, limit: Self.eventBacklog) { [waker] in
            waker.yield()
        }
    }

    /// How each uplink fares, in the order in which they came.
    var records: [DeliveryRecord] { upstreams.map(\.lane.record) }

    /// Beats until ``stop()``, or until the task is cancelled, which says no farewell.
    package func run() async {
        guard !isRunning, farewell == nil else { return }
        isRunning = true
        for index in upstreams.indices { begin(&upstreams[index]) }
        await withTaskCancellationHandler {
            await beatUntilStopped()
        } onCancel: { [waker] in
            waker.yield()
        }
        reader.cancel()
        if let farewell {
            await farewell.value
        } else {
            for upstream in upstreams { upstream.delivery?.cancel() }
        }
    }

    /// Takes over a changed plan. Beats go on with their numbers and counts, and the next one comes soon.
    ///
    /// A sink with the name of one that is there takes its place: it goes on from the beat that one's upstream took last,
    /// and nobody is told a farewell, because the upstream stays. The upstreams of `removed` get an offline beat, since
    /// silence would mean to them that the site is down. Returns at once; the task ends when they have taken it, or after
    /// ``farewellLimit``.
    @discardableResult
    package func reload(
        _ plan: HeartbeatPlan, adding sinks: [any BeatSink], removing removed: Set<String>
    ) -> Task<Void, Never> {
        guard farewell == nil else { return Task {} }
        every = plan.every
        schedule.change(every: every, at: clock.now)
        for sink in sinks { add(sink) }
        let gone = upstreams.filter { removed.contains($0.lane.name) }
        upstreams.removeAll { removed.contains($0.lane.name) }
        for upstream in gone { remember(upstream) }
        waker.yield()
        return Task {
            guard !gone.isEmpty else { return }
            await self.sayFarewell(to: gone)
            for upstream in gone { self.remember(upstream) }
        }
    }

    private func add(_ sink: any BeatSink) {
        let index = upstreams.firstIndex { $0.lane.name == sink.name }
        if let index { upstreams[index].lane.end() }
        let record =
            index.map { upstreams[$0].lane.record } ?? former.removeValue(forKey: sink.name)
            ?? DeliveryRecord(mark: startMark)
        var upstream = Upstream(lane: BeatLane(sink: sink, from: record, logger: logger))
        if isRunning { begin(&upstream) }
        if let index { upstreams[index] = upstream } else { upstreams.append(upstream) }
    }

    private func begin(_ upstream: inout Upstream) {
        upstream.delivery = Task { [lane = upstream.lane] in await lane.run() }
    }

    private func remember(_ upstream: Upstream) {
        let name = upstream.lane.name
        guard !upstreams.contains(where: { $0.lane.name == name }) else { return }
        former[name] = upstream.lane.record
    }

    /// Ends ``run()`` with an offline beat to every uplink; returns within ``farewellLimit``.
    package func stop() async {
        let farewell = self.farewell ?? Task { await self.sayFarewell(to: self.upstreams) }
        self.farewell = farewell
        waker.yield()
        await farewell.value
    }

    private func beatUntilStopped() async {
        var wakes = wakes.makeAsyncIterator()
        while isBeating {
            await takeEvents()
            let due = schedule.due
            if clock.now >= due {
                await beat()
            } else {
                await sleep(until: due, wakes: &wakes)
            }
        }
    }

    private var isBeating: Bool { farewell == nil && !Task.isCancelled }

    private func sleep(
        until deadline: ContinuousClock.Instant, wakes: inout AsyncStream<Void>.Iterator
    ) async {
        let timer = Task { [clock, waker] in
            try await clock.sleep(until: deadline, tolerance: nil)
            waker.yield()
        }
        _ = await wakes.next(isolation: self)
        timer.cancel()
    }

    /// Sends a beat if the core answers; a beat says that the site can do its work, so nobody else may vouch for it.
    private func beat() async {
        guard await probe.answers() else {
            guard isBeating else { return }
            if !isCoreSilent {
                logger.error("the core did not answer within \(CoreProbe.limit); no beat is sent")
            }
            isCoreSilent = true
            return schedule.withheld(at: clock.now)
        }
        if isCoreSilent { logger.notice("the core answers again; beats go on") }
        isCoreSilent = false
        await takeEvents()
        guard isBeating else { return }
        let beat = compose(.online)
        for upstream in upstreams { upstream.lane.offer(beat) }
        schedule.sent(at: clock.now, random: random())
    }

    private func sayFarewell(to upstreams: [Upstream]) async {
        let task = Task {
            await self.takeEvents()
            let beat = self.compose(.offline)
            for upstream in upstreams { upstream.lane.end(with: beat) }
            for upstream in upstreams { await upstream.delivery?.value }
        }
        if await !ends(task, within: Self.farewellLimit, on: clock) {
            let names = upstreams.map(\.lane.name).joined(separator: ", ")
            logger.warning(
                "not every uplink of \(names) took the offline beat within \(Self.farewellLimit)")
        }
        for upstream in upstreams { upstream.delivery?.cancel() }
    }

    /// The next beat.
    private func compose(_ state: BeatInput.State) -> BeatInput {
        seq += 1
        let now = clock.now
        let (health, controllers, lockers) = source.snapshot.read { contents in
            var lockers = LockerTally()
            for row in contents.lockers { lockers.count(row.view, at: now) }
            return (contents.health, contents.controllers.map(\.view), lockers)
        }
        return BeatInput(
            site: source.name, bootID: source.bootID, seq: seq, at: wallClock(), now: now,
            uptime: startedAt.duration(to: now), state: state, version: version, interval: every,
            health: health, controllers: controllers, lockers: lockers, opens: tally)
    }

    /// Counts every event there is. One call after the other, so that none returns while another one is still counting.
    private func takeEvents() async {
        let before = reading
        let task = Task {
            await before?.value
            await self.readEvents()
        }
        reading = task
        await task.value
    }

    private func readEvents() async {
        while let item = reader.next() {
            switch item {
            case .lost(let count):
                tally.miss(events: count)
                schedule.note()
            case .event(let event):
                await take(event.body)
            }
        }
    }

    private func take(_ event: EventBody) async {
        switch event {
        case .healthChanged, .controllerState:
            schedule.note()
        case .operationDone(_, .open, _, let result?, _):
            tally.count(result)
        case .operationDone(let operation, _, _, _, _):
            // The event of an open-all counts failures and jams together; the operation knows each locker's outcome.
            if let results = try? await source.operation(operation).results {
                for result in results { tally.count(result) }
            } else {
                tally.miss(events: 1)
            }
        default:
            break
        }
    }
}
