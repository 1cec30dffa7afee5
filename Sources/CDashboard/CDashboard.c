#include "CDashboard.h"

// #embed is C23's; clang takes it in every language mode, and says so unless it is told not to.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char commands_js[] = {
#embed "page/commands.js"
};
static const unsigned char detail_js[] = {
#embed "page/detail.js"
};
static const unsigned char dom_js[] = {
#embed "page/dom.js"
};
static const unsigned char feed_js[] = {
#embed "page/feed.js"
};
static const unsigned char fleet_js[] = {
#embed "page/fleet.js"
};
static const unsigned char index_html[] = {
#embed "page/index.html"
};
static const unsigned char login_css[] = {
#embed "page/login.css"
};
static const unsigned char login_html[] = {
#embed "page/login.html"
};
static const unsigned char logs_js[] = {
#embed "page/logs.js"
};
static const unsigned char main_js[] = {
#embed "page/main.js"
};
static const unsigned char overview_js[] = {
#embed "page/overview.js"
};
static const unsigned char reload_js[] = {
#embed "page/reload.js"
};
static const unsigned char session_js[] = {
#embed "page/session.js"
};
static const unsigned char style_css[] = {
#embed "page/style.css"
};
static const unsigned char tasks_js[] = {
#embed "page/tasks.js"
};
static const unsigned char timeline_js[] = {
#embed "page/timeline.js"
};
static const unsigned char try_js[] = {
#embed "page/try.js"
};
static const unsigned char words_js[] = {
#embed "page/words.js"
};

#define FILE_OF(name, bytes) {name, bytes, sizeof bytes}

static const stoker_dashboard_file files[] = {
    FILE_OF("commands.js", commands_js),
    FILE_OF("detail.js", detail_js),
    FILE_OF("dom.js", dom_js),
    FILE_OF("feed.js", feed_js),
    FILE_OF("fleet.js", fleet_js),
    FILE_OF("index.html", index_html),
    FILE_OF("login.css", login_css),
    FILE_OF("login.html", login_html),
    FILE_OF("logs.js", logs_js),
    FILE_OF("main.js", main_js),
    FILE_OF("overview.js", overview_js),
    FILE_OF("reload.js", reload_js),
    FILE_OF("session.js", session_js),
    FILE_OF("style.css", style_css),
    FILE_OF("tasks.js", tasks_js),
    FILE_OF("timeline.js", timeline_js),
    FILE_OF("try.js", try_js),
    FILE_OF("words.js", words_js),
};

const stoker_dashboard_file *stoker_dashboard_file_at(size_t index) {
    return index < sizeof files / sizeof files[0] ? &files[index] : NULL;
}
