/// The dashboard: one page with a style and a script of its own, nothing from anywhere else.
enum Dashboard {}
