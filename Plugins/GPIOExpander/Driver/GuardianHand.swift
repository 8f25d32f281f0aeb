import CoilGuardian
import GPIOLines
import Glibc
import LockerKit
import Locks

/// This process's end of the guardian: starts it, gives it orders, and takes over from it where it dies.
///
/// The calls of all controllers of a link come through here, one after the other, on a thread of their own.
actor GuardianHand {
    /// How long lines are asked for that a dead guardian has not been rid of yet.
    private static let reclaimLimit: Duration = .seconds(1)

    nonisolated let queue: DeviceQueue
    private nonisolated let program: String
    private nonisolated let context: DriverContext
    /// For whoever cancels a pulse, on whatever thread.
    private nonisolated let live = Mutex<GuardianProcess?>(nil)
    private var banks: [Int: Bank] = [:]

    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    init(program: String, context: DriverContext) {
        self.program = program
        self.context = context
        queue = DeviceQueue(label: context.link)
    }

    func isHeld(_ number: Int) -> Bool { banks[number] != nil }

    /// Takes the lines, all off.
    func hold(_ number: Int, _ bank: Bank) throws(LockerError) {
        do throws(GuardianFault) {
            let process = try guardian()
            // Of a chip that has gone it may still have the lines, which are worth nothing now.
            let limit = GuardianProcess.startLimit
            _ = try process.ask(.drop, bank: number, within: limit)
            // Before it is asked: what a guardian took that dies over it has to be taken back as well.
            banks[number] = bank
            _ = try process.ask(.hold(bank), bank: number)
        } catch {
            let told = lost(error, number, wasOn: false)
            banks[number] = nil
            throw told
        }
    }

    /// Lets go of the lines, which are off then.
    func drop(_ number: Int) throws(LockerError) {
        guard banks[number] != nil, let process = live.withLock(\.self) else { return }
        do throws(GuardianFault) {
            _ = try process.ask(.drop, bank: number)
            banks[number] = nil
        } catch {
            throw lost(error, number, wasOn: false)
        }
    }

    /// The lines that are on; switches them off where nobody has asked for that.
    func check(_ number: Int) throws(LockerError) {
        let places = try on(number)
        guard !places.isEmpty, let bank = banks[number] else { return }
        // Somebody else did that, or the chip has come back from a loss of power: it is driven again, to be sure.
        context.warning("lines \(names(places, bank)) were on and nobody had asked for it")
        try drop(number)
        try hold(number, bank)
        let still = try on(number)
        guard still.isEmpty else {
            throw LockerError(
                .outputStuck, "lines \(names(still, bank)) stay on", fired: .unknown, sent: .yes)
        }
    }

    private func on(_ number: Int) throws(LockerError) -> [Int] {
        do throws(GuardianFault) {
            guard case .levels(let levels) = try guardian().ask(.check, bank: number) else {
                throw .dead("it answers what nobody asked")
            }
            return levels.indices.filter { levels[$0] == true }
        } catch {
            throw lost(error, number, wasOn: false)
        }
    }

    private func names(_ places: [Int], _ bank: Bank) -> String {
        places.map { String(bank.lines[$0].offset) }.joined(separator: ", ")
    }

    /// Switches a line on and returns when it is off again.
    func pulse(_ number: Int, line: Int, length: Duration) throws(LockerError) -> Fired {
        var wasOn = false
        do throws(GuardianFault) {
            let process = try guardian()
            return try process.pulse(line: line, bank: number, length: length) {
                wasOn = true
                // Whoever cancelled before the line was on had nothing to cut.
                if Task.isCancelled { process.cut(bank: number) }
            }
        } catch {
            throw lost(error, number, wasOn: wasOn)
        }
    }

    /// Ends the pulses of a bank; from anywhere.
    nonisolated func cut(_ number: Int) {
        live.withLock(\.self)?.cut(bank: number)
    }

    // MARK: The process

    private func guardian() throws(GuardianFault) -> GuardianProcess {
        if let process = live.withLock(\.self) { return process }
        let process = try GuardianProcess(program: program)
        live.withLock { $0 = process }
        return process
    }

    /// What a caller is told. Where the guardian is gone its lines are switched off from here first.
    private func lost(_ fault: GuardianFault, _ number: Int, wasOn: Bool) -> LockerError {
        let fired: LockerError.Fired = wasOn ? .yes : .no
        switch fault {
        case .refused(let failure, let mayBeOn):
            if failure.isGone { banks[number] = nil }
            return LockerError(
                .linkDown, failure.description, fired: wasOn ? .yes : mayBeOn ? .unknown : .no,
                sent: wasOn || mayBeOn ? .yes : .no)
        case .stuck(let failure):
            return LockerError(
                .outputStuck, "\(failure.description); it is tried again without end", fired: fired,
                sent: wasOn ? .yes : .no)
        case .dead(let why): return takeOver("the coil guardian: \(why)", fired)
        case .silent: return takeOver("the coil guardian did not answer in time", fired)
        }
    }

    private func takeOver(_ why: String, _ fired: LockerError.Fired) -> LockerError {
        context.error("\(why); its lines are switched off from here")
        let process = live.withLock { live in
            defer { live = nil }
            return live
        }
        // What came of an order that nobody answered is not known.
        let known = process == nil ? fired : fired == .no ? .unknown : fired
        process?.kill()
        var stuck: [String] = []
        for (number, bank) in banks.sorted(by: { $0.key < $1.key }) {
            do throws(GPIOFailure) {
                try reclaim(bank)
            } catch {
                if !error.isGone { stuck.append(error.description) }
            }
            banks[number] = nil
        }
        guard stuck.isEmpty else {
            return LockerError(
                .outputStuck, "\(why), and then \(stuck.joined(separator: "; "))", fired: known,
                sent: .maybe)
        }
        return LockerError(.linkDown, why, fired: known, sent: known == .no ? .no : .maybe)
    }

    /// Drives the lines off, and lets go of them: the next guardian takes them as they are.
    private func reclaim(_ bank: Bank) throws(GPIOFailure) {
        let end = ContinuousClock.now + Self.reclaimLimit
        let offsets = bank.lines.map(\.offset)
        while true {
            do throws(GPIOFailure) {
                let chip = try Chip.at(bank.chip)
                guard bank.isOffKnown else {
                    _ = try LineSet(
                        inputs: offsets, of: chip, wiring: Wiring(bias: bank.wiring.bias),
                        areWatched: false, consumer: bank.consumer)
                    return
                }
                let lines = try LineSet(
                    outputs: offsets, of: chip, at: bank.lines.map { !$0.onLevel },
                    wiring: bank.wiring, consumer: bank.consumer)
                let levels = try lines.levels()
                var on = bank.lines.indices.filter { levels[$0] == bank.lines[$0].onLevel }
                for place in on
                where try lines.switchOff(place, from: bank.lines[place].onLevel, readsOn: true) {
                    on.removeAll { $0 == place }
                }
                guard on.isEmpty else {
                    throw GPIOFailure(EIO, "lines \(names(on, bank)) of \(chip.name) stay on")
                }
                return
            } catch {
                guard !error.isGone, ContinuousClock.now < end else { throw error }
                // Who died lets go at once; a bus that does not answer is not asked a thousand times.
                usleep(error.isTaken ? 1000 : 10_000)
            }
        }
    }
}
