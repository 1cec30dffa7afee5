extension Dashboard {
    /// The page's frame; everything in it is put there by ``script``, as text.
    static let page = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Stoker</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="/dashboard.css">
        <script src="/dashboard.js" defer></script>
        </head>
        <body>
        <header>
        <h1>Stoker <span id="version"></span></h1>
        <p id="connection" role="status">connecting …</p>
        <nav id="account" aria-label="Account"></nav>
        </header>
        <main>
        <noscript><p class="notice">This page needs JavaScript; <a href="/api/v1/status">the status as JSON</a> and
        <code>stoker status</code> do not.</p></noscript>
        <section id="ready" aria-live="polite" aria-label="Readiness"><strong id="ready-word">…</strong>
        <span id="ready-reason"></span></section>
        <ul id="notices" aria-label="Notices"></ul>
        <section aria-labelledby="gateway-title">
        <h2 id="gateway-title">Gateway</h2>
        <dl id="gateway" class="facts"></dl>
        </section>
        <section aria-labelledby="instances-title">
        <h2 id="instances-title">Instances</h2>
        <div id="providers"></div>
        </section>
        </main>
        <footer><a href="/api/v1/status">status</a> <a href="/metrics">metrics</a> <span id="uptime"></span></footer>
        </body>
        </html>
        """
}
