import ControlWire
import JSONLines
import LockerCore
import LockerKit
import Locks
import NIOCore
import SiteModel

/// Writes `status` and `controllers` from the snapshot, from rows that are encoded once and kept until they change.
///
/// No actor and no lane is asked, so a reply costs what copying it costs. Rows that nobody asks for are never encoded.
final class StatusEncoder: Sendable {
    private let snapshot: Snapshot
    private let events: EventLog
    private let clock: any MonotonicClock
    private let wallClock: @Sendable () -> WallTime
    /// From the closing quote of the time to the sequence number.
    private let boot: [UInt8]
    private let cache: Mutex<StatusCache>

    init(
        core: any ControlCore, clock: any MonotonicClock,
        wallClock: @escaping @Sendable () -> WallTime
    ) {
        snapshot = core.snapshot
        events = core.events
        self.clock = clock
        self.wallClock = wallClock
        boot =
            Array("\",\"bootId\":".utf8) + JSON.string(core.bootID).encoded
            + Array(",\"seq\":".utf8)
        cache = Mutex(StatusCache(site: core.name))
    }

    // MARK: One locker

    /// Writes the `status` of one locker for a peer that may see everything; false, with nothing written, where there is no
    /// such locker.
    func writeOne(
        _ locker: StatusOfOne.Locker, in line: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) -> Bool {
        let now = clock.now
        let time = wallClock()
        let seq = events.lastSeq
        return snapshot.read { contents in
            let found: Int? =
                switch locker {
                case .id(let id): contents.lockerIndex(id: id)
                case .address(let range):
                    contents.lockerIndex(
                        address: String(
                            decoding: UnsafeRawBufferPointer(rebasing: line[range]), as: UTF8.self))
                }
            guard let index = found else { return false }
            cache.withLock { cache in
                cache.refresh(contents, time)
                cache.refresh(locker: index, contents)
                let controller = cache.lockers[index].controller
                var size =
                    cache.fixedBytes(boot) + cache.health.count
                    + cache.lockers[index].bytes.count + StatusRow.doorBytes
                if let controller {
                    cache.refresh(controller: controller, contents)
                    size += cache.controllers[controller].bytes.count + StatusRow.lastGoodBytes
                }
                buffer.write(atMost: size) { sink in
                    cache.writeHead(boot, seq, cache.health, &sink)
                    if let controller {
                        cache.write(controller: controller, contents, now, &sink)
                    }
                    sink.put("],\"lockers\":[")
                    cache.write(locker: index, contents, now, &sink)
                    sink.put("]}")
                }
            }
            return true
        }
    }

    // MARK: Any number

    /// Writes the result of `status` as far as the peer may see it.
    func write(
        _ selection: Selection, for grant: Grant, into buffer: inout ByteBuffer
    ) throws(ControlFault) {
        let now = clock.now
        let time = wallClock()
        let seq = events.lastSeq
        let fault: ControlFault? = snapshot.read { contents in
            let chosen: Chosen
            do throws(ControlFault) {
                chosen = try Chosen(selection, contents, grant)
            } catch {
                return error
            }
            cache.withLock { cache in
                cache.refresh(contents, time)
                let health =
                    grant.seesEverything
                    ? cache.health : cache.health(grant.visible(contents.health, contents))
                let uplinks =
                    selection.isWhole && grant.seesEverything
                    ? Self.uplinks(contents.uplinks, now) + Self.journal(contents.journal) : []
                var size = cache.fixedBytes(boot) + health.count + uplinks.count
                for index in chosen.controllers {
                    cache.refresh(controller: index, contents)
                    size += cache.controllers[index].bytes.count + StatusRow.lastGoodBytes + 1
                }
                for index in chosen.lockers {
                    cache.refresh(locker: index, contents)
                    size += cache.lockers[index].bytes.count + StatusRow.doorBytes + 1
                }
                buffer.write(atMost: size) { sink in
                    cache.writeHead(boot, seq, health, &sink)
                    for (position, index) in chosen.controllers.enumerated() {
                        if position > 0 { sink.put(",") }
                        cache.write(controller: index, contents, now, &sink)
                    }
                    sink.put("],\"lockers\":[")
                    for (position, index) in chosen.lockers.enumerated() {
                        if position > 0 { sink.put(",") }
                        cache.write(locker: index, contents, now, &sink)
                    }
                    sink.put("]")
                    sink.put(uplinks)
                    sink.put("}")
                }
            }
            return nil
        }
        if let fault { throw fault }
    }

    /// Writes the result of `controllers`.
    func writeControllers(for grant: Grant, into buffer: inout ByteBuffer) {
        let now = clock.now
        let time = wallClock()
        snapshot.read { contents in
            cache.withLock { cache in
                cache.refresh(contents, time)
                let shown = contents.controllers.indices.filter {
                    grant.sees(contents.controllers[$0].view)
                }
                let uplinks = grant.seesEverything ? Self.uplinks(contents.uplinks, now) : []
                var size = 32 + uplinks.count
                for index in shown {
                    cache.refresh(controller: index, contents)
                    size += cache.controllers[index].bytes.count + StatusRow.lastGoodBytes + 1
                }
                buffer.write(atMost: size) { sink in
                    sink.put("{\"controllers\":[")
                    for (position, index) in shown.enumerated() {
                        if position > 0 { sink.put(",") }
                        cache.write(controller: index, contents, now, &sink)
                    }
                    sink.put("]")
                    sink.put(uplinks)
                    sink.put("}")
                }
            }
        }
    }

    /// `,"uplinks":[…]`: few, and asked for seldom, so nothing is kept.
    private static func uplinks(_ views: [UplinkView], _ now: ContinuousClock.Instant) -> [UInt8] {
        Array(",\"uplinks\":".utf8) + JSON.array(views.map { $0.json(at: now) }).encoded
    }

    /// `,"journal":…`: where what happens is kept; nothing where there is no journal at all.
    private static func journal(_ state: JournalState?) -> [UInt8] {
        switch state {
        case nil: []
        case .durable: Array(#","journal":"durable""#.utf8)
        case .memory: Array(#","journal":"memory""#.utf8)
        case .broken: Array(#","journal":"broken""#.utf8)
        }
    }

    /// One locker alone, as `service` answers with it.
    func writeLocker(_ view: LockerView, isKept: Bool, into buffer: inout ByteBuffer) {
        var row = StatusRow()
        row.encode(view, version: 0, controller: nil)
        let now = clock.now
        row.add("durable", isKept)
        buffer.write(atMost: row.bytes.count + StatusRow.doorBytes) { sink in
            row.write(into: &sink) { StatusRow.Door(view).write(at: now, into: &$0) }
        }
    }
}
