import LockerKit

/// What the hardware showed of its coils while a call was under way.
struct Sightings {
    /// When each coil was seen on first and last, on the fixture's clock. What lies between is less than it was on.
    private var times: [Int: (first: ContinuousClock.Instant, last: ContinuousClock.Instant)] = [:]

    /// The coils that were on.
    var coils: Set<Int> { Set(times.keys) }

    /// For how long at least a coil was on.
    func onTime(_ coil: Int) -> Duration {
        times[coil].map { $0.first.duration(to: $0.last) } ?? .zero
    }

    /// For how long a coil that is on at `now` has been so.
    func onTime(_ coil: Int, at now: ContinuousClock.Instant) -> Duration {
        times[coil].map { $0.first.duration(to: now) } ?? .zero
    }

    mutating func note(_ coil: Int, at now: ContinuousClock.Instant) {
        times[coil] = (times[coil]?.first ?? now, now)
    }
}

extension Inspection {
    /// Opens a locker, watches the coils until all is over, and holds what they showed against what the driver says.
    func openWatched(
        _ controller: any LockController, _ locker: Int
    ) async throws(LockerError) -> OpenReport {
        var seen = Sightings()
        let call = beginOpen(controller, locker)
        let result: Result<OpenReport, LockerError>
        do throws(Hang) {
            result = try await drive(call) { await look(&seen) }
        } catch {
            throw LockerError(.internal, error.description)
        }
        if controller.capabilities.pulseTiming == .board { await watchPulse(&seen) }
        let foreign = seen.coils.subtracting([locker])
        expect(foreign.isEmpty, "an open of locker \(locker) energised \(foreign.sorted())")
        let limit = fixture.pulse + fixture.tolerance
        for coil in seen.coils.sorted() where seen.onTime(coil) > limit {
            note(
                "locker \(coil) was energised for \(seen.onTime(coil)) and more; "
                    + "want at most \(fixture.pulse)")
        }
        switch result {
        case .success(let report): judge(report, of: locker, seen)
        case .failure(let error):
            expect(
                error.fired != .no || seen.coils.isEmpty,
                "an open of locker \(locker) says fired no, and the coils \(seen.coils.sorted()) were seen on"
            )
        }
        return try result.get()
    }

    private func judge(_ report: OpenReport, of locker: Int, _ seen: Sightings) {
        guard fixture.canSeePulses else {
            return expect(
                report.pulse <= fixture.pulse,
                "locker \(locker) was energised for \(report.pulse); want at most \(fixture.pulse)")
        }
        expect(
            seen.coils.contains(locker),
            "locker \(locker) was opened, and its coil was never seen on")
        expect(
            report.pulse + fixture.tolerance >= seen.onTime(locker),
            "an open of locker \(locker) reports a pulse of \(report.pulse); its coil was seen on for \(seen.onTime(locker))"
        )
    }

    /// Notes what is on now.
    func look(_ seen: inout Sightings) async {
        let now = fixture.clock.now
        for coil in await fixture.energised() {
            if await isOnlyBehind(coil, seen, now) { continue }
            seen.note(coil, at: now)
        }
    }

    /// Follows a pulse in the board's hands to its end, or until it is too long.
    private func watchPulse(_ seen: inout Sightings) async {
        let end = fixture.clock.now + (fixture.pulse + fixture.tolerance) * 2
        while true {
            await look(&seen)
            guard fixture.clock.now < end, await !fixture.energised().isEmpty else { return }
            await fixture.tick()
        }
    }

    /// A clock that is turned by hand does not wait for whoever it has woken: a coil that seems to be on for too long is given
    /// turns, without any time, to be switched off by a driver that only had none.
    private func isOnlyBehind(
        _ coil: Int, _ seen: Sightings, _ now: ContinuousClock.Instant
    ) async -> Bool {
        let limit = fixture.pulse + fixture.tolerance
        guard fixture.isManual, seen.onTime(coil, at: now) > limit, seen.onTime(coil) <= limit
        else { return false }
        for _ in 0..<Self.tickLimit {
            for _ in 0..<10 { await Task.yield() }
            if await !fixture.energised().contains(coil) { return true }
        }
        return false
    }
}
