import CoreForms
import JSONLines
import LockerCore
import SiteModel

/// The encoded rows of the snapshot, and what stands around them.
///
/// A class, so that handing it to a closure copies one reference and none of its arrays.
final class StatusCache {
    private let site: String
    private var generation = -1
    private var healthVersion: UInt64?
    /// From `,"site":` to the opening bracket of the controllers.
    private(set) var health: [UInt8] = []
    private(set) var lockers: [StatusRow] = []
    private(set) var controllers: [StatusRow] = []
    private var time = WallTime(milliseconds: .min)
    private var timeText: [UInt8] = []

    init(site: String) {
        self.site = site
    }

    // MARK: Refreshing

    /// Drops what belongs to another set of lockers, encodes the health anew if it changed, and formats the time once a
    /// millisecond.
    func refresh(_ contents: borrowing Snapshot.Contents, _ now: WallTime) {
        if generation != contents.generation {
            generation = contents.generation
            lockers = Array(repeating: StatusRow(), count: contents.lockers.count)
            controllers = Array(repeating: StatusRow(), count: contents.controllers.count)
        }
        if healthVersion != contents.healthVersion {
            healthVersion = contents.healthVersion
            health = health(contents.health)
        }
        if time != now {
            time = now
            timeText = Array(now.rfc3339.utf8)
        }
    }

    func refresh(locker index: Int, _ contents: borrowing Snapshot.Contents) {
        guard lockers[index].version != contents.lockers[index].version else { return }
        let row = contents.lockers[index]
        lockers[index].encode(
            row.view, version: row.version,
            controller: contents.controllerIndex(row.view.controller))
    }

    func refresh(controller index: Int, _ contents: borrowing Snapshot.Contents) {
        guard controllers[index].version != contents.controllers[index].version else { return }
        let row = contents.controllers[index]
        controllers[index].encode(row.view, version: row.version)
    }

    /// From `,"site":` to the opening bracket of the controllers, for this health.
    func health(_ health: Health) -> [UInt8] {
        var writer = JSONWriter(reserving: 256)
        writer.member("site", site)
        writer.member("health", health.level.rawValue)
        writer.member("causes", health.causesJSON)
        return [UInt8(ascii: ",")] + writer.bytes + Array(",\"controllers\":[".utf8)
    }

    // MARK: Writing

    /// Bytes of a reply that do not depend on its rows, at most; `health` apart.
    func fixedBytes(_ boot: [UInt8]) -> Int {
        boot.count + timeText.count + ByteSink.decimalBytes + 64
    }

    func writeHead(_ boot: [UInt8], _ seq: UInt64, _ health: [UInt8], _ sink: inout ByteSink) {
        sink.put("{\"at\":\"")
        sink.put(timeText)
        sink.put(boot)
        sink.put(decimal: seq)
        sink.put(health)
    }

    func write(
        locker index: Int, _ contents: borrowing Snapshot.Contents, _ now: ContinuousClock.Instant,
        _ sink: inout ByteSink
    ) {
        let door = StatusRow.Door(contents.lockers[index].view)
        lockers[index].write(into: &sink) { door.write(at: now, into: &$0) }
    }

    func write(
        controller index: Int, _ contents: borrowing Snapshot.Contents,
        _ now: ContinuousClock.Instant, _ sink: inout ByteSink
    ) {
        let lastGood = contents.controllers[index].view.lastGood
        controllers[index].write(into: &sink) {
            StatusRow.writeLastGood(lastGood, at: now, into: &$0)
        }
    }
}
