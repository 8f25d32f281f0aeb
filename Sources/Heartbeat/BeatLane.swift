import LockerKit
import Locks
import Logging

/// What one upstream has taken so far, and what it costs to get more there.
struct DeliveryRecord: Sendable, Equatable {
    /// The last beat that it took.
    var mark: DeliveryMark
    /// Deliveries that failed since the last one that succeeded.
    var failures = 0
    /// Why the newest delivery failed; nil when it succeeded.
    var reason: String?
}

/// The way to one upstream: one beat in flight, and the newest of those that came meanwhile.
final class BeatLane: Sendable {
    private struct State {
        var record: DeliveryRecord
        var inFlight: (seq: Int, task: Task<LockerError?, Never>)?
        /// Beats with a lower number are not sent any more.
        var lowestWanted = 0
    }

    private let sink: any BeatSink
    private let logger: Logger
    private let waiting: AsyncStream<BeatInput>
    private let entrance: AsyncStream<BeatInput>.Continuation
    private let state: Mutex<State>

    /// Makes the lane of `sink`, which goes on where `record` ended.
    init(sink: any BeatSink, from record: DeliveryRecord, logger: Logger) {
        self.sink = sink
        self.logger = logger
        (waiting, entrance) = AsyncStream.makeStream(
            of: BeatInput.self, bufferingPolicy: .bufferingNewest(1))
        state = Mutex(State(record: record))
    }

    var name: String { sink.name }
    var record: DeliveryRecord { state.withLock { $0.record } }

    /// Sends the beat as soon as the one in flight is done, unless a newer one comes before that.
    func offer(_ beat: BeatInput) {
        if case .dropped(let older) = entrance.yield(beat) {
            logger.debug("beat \(older.seq) gave way to beat \(beat.seq)")
        }
    }

    /// Sends this beat at once and no more; `run` returns after that.
    ///
    /// A beat in flight is given up, because it may be in the middle of a pause between two attempts that is longer than
    /// a farewell has time. The last one carries its counts.
    func end(with beat: BeatInput) {
        offer(beat)
        end(at: beat.seq)
    }

    /// Gives up what is in flight and sends no more; `run` returns after that.
    func end() { end(at: .max) }

    private func end(at seq: Int) {
        entrance.finish()
        state.withLock { state in
            state.lowestWanted = max(state.lowestWanted, seq)
            if let delivery = state.inFlight, delivery.seq < seq { delivery.task.cancel() }
        }
    }

    /// Delivers until ended or cancelled.
    ///
    /// The text is made when its turn comes, because only then is it known which beat the upstream took last.
    func run() async {
        for await beat in waiting {
            guard let delivery = begin(beat, beat.text(since: record.mark)) else { continue }
            let error = await withTaskCancellationHandler {
                await delivery.value
            } onCancel: {
                delivery.cancel()
            }
            if let error { failed(beat, error) } else { succeeded(beat) }
        }
    }

    /// Nil where the beat is not wanted any more.
    private func begin(_ beat: BeatInput, _ text: String) -> Task<LockerError?, Never>? {
        state.withLock { state in
            guard beat.seq >= state.lowestWanted else { return nil }
            let task = Task { [sink] in
                do throws(LockerError) {
                    try await sink.deliver(text)
                    return LockerError?.none
                } catch {
                    return error
                }
            }
            state.inFlight = (beat.seq, task)
            return task
        }
    }

    private func succeeded(_ beat: BeatInput) {
        let failures = state.withLock { state in
            defer { state.record = DeliveryRecord(mark: DeliveryMark(beat)) }
            state.inFlight = nil
            return state.record.failures
        }
        if failures > 0 {
            logger.notice("uplink \(name) takes beats again after \(failures) failures")
        }
    }

    private func failed(_ beat: BeatInput, _ error: LockerError) {
        let isNew = state.withLock { state in
            state.inFlight = nil
            // Given up by ourselves, which says nothing of the upstream.
            guard beat.seq >= state.lowestWanted else { return false }
            state.record.failures += 1
            defer { state.record.reason = error.message }
            return state.record.reason != error.message
        }
        // A long outage is one line in the log, not one for each beat.
        logger.log(
            level: isNew ? .warning : .debug,
            "uplink \(name) did not deliver beat \(beat.seq): \(error.description)")
    }
}
