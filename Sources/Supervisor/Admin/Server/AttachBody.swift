/// The body of `PUT /api/v1/instances/{id}`. A key that it does not know is an error: it would be believed to work.
struct AttachBody: Decodable {
    /// Where the server is.
    var baseURL: String
    /// Taken only to be refused: keys are kept by path.
    var apiKey: String?
    /// A file with the server's key; absolute.
    var apiKeyFile: String?

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case baseURL = "base_url"
        case apiKey = "api_key"
        case apiKeyFile = "api_key_file"
    }

    /// Any member's name.
    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }

        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let names = try decoder.container(keyedBy: Name.self).allKeys.map(\.stringValue).sorted()
        if let unknown = names.first(where: { CodingKeys(rawValue: $0) == nil }) {
            throw AdminError.badRequest(
                "'\(unknown)' in the body is unknown: an attached server has base_url and api_key_file here, and all "
                    + "else in the configuration")
        }
        let container = try decoder.container(keyedBy: CodingKeys.self)
        baseURL = try container.decode(String.self, forKey: .baseURL)
        apiKey = try container.decodeIfPresent(String.self, forKey: .apiKey)
        apiKeyFile = try container.decodeIfPresent(String.self, forKey: .apiKeyFile)
    }
}
