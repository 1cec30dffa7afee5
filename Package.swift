// swift-tools-version: 6.1
import PackageDescription

/// Every target of ours: Swift 6 language mode, warnings are errors.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-warnings-as-errors"])]

let package = Package(
    name: "stoker",
    products: [
        .executable(name: "stoker", targets: ["stoker"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // System libraries, and what Swift cannot call by itself: variadic C and what Glibc's module lacks.
        .target(name: "CCurl", linkerSettings: [.linkedLibrary("curl")]),
        .target(name: "CSystemd", linkerSettings: [.linkedLibrary("systemd")]),
        .target(name: "CLinux"),
        // The dashboard's page, embedded.
        .target(name: "CDashboard", exclude: ["page"]),
        .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),

        // The vocabulary both sides share.
        .target(
            name: "Fleet",
            dependencies: ["CLinux", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict),
        // How we know.
        .target(
            name: "Health",
            dependencies: ["Fleet", "CCurl", "CLinux"],
            swiftSettings: strict),
        // Who keeps it running.
        .target(
            name: "Supervisor",
            dependencies: [
                "Fleet", "Health", "CSystemd", "CLinux", "CDashboard",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        // How a request flows.
        .target(
            name: "Gateway",
            dependencies: ["Fleet", "CLinux", "COpenSSL"],
            swiftSettings: strict),
        // The command line; the one place where the parts are put together.
        .executableTarget(
            name: "stoker",
            dependencies: [
                "Fleet", "Health", "Supervisor", "Gateway", "CLinux",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // The fault-injecting stand-in for `vllm serve`.
        .executableTarget(
            name: "vllm-stand-in",
            dependencies: ["CLinux"],
            path: "Tests/Fixtures/StandIn",
            swiftSettings: strict),

        .testTarget(name: "FleetTests", dependencies: ["Fleet"], swiftSettings: strict),
        .testTarget(name: "HealthTests", dependencies: ["Health"], swiftSettings: strict),
        .testTarget(name: "StokerTests", dependencies: ["stoker"], swiftSettings: strict),
        .testTarget(name: "SupervisorTests", dependencies: ["Supervisor"], swiftSettings: strict),
        // Counts allocations, for a test.
        .target(name: "CAllocations", path: "Tests/Fixtures/Allocations"),
        .testTarget(
            name: "GatewayTests", dependencies: ["Gateway", "CAllocations", "COpenSSL"], swiftSettings: strict),
    ]
)
