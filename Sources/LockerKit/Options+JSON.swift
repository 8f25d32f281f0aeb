import JSONLines

extension Options {
    /// The members of a JSON object given as text: how an uplink looks into a beat.
    public init(json text: String) throws(LockerError) {
        do {
            guard let members = try JSONReader.parse(text).objectValue else {
                throw LockerError(.invalidRequest, "the text is not a JSON object")
            }
            self.init(members)
        } catch let error as LockerError {
            throw error
        } catch {
            throw LockerError(.invalidRequest, "the text is not JSON: \(error)")
        }
    }
}
