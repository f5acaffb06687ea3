"""A browser tab for the tests of widgets: it keeps what went wrong, and reaches nothing but files."""

# A page that is no part of the site, in the colours of its dark theme.
IN_THE_DARK = """() => {
    document.documentElement.dataset.theme = "dark";
    const dark = {"text-base": "#ced6dd", background: "#14181e", surface: "#222832", border: "#48566b"};
    const style = document.documentElement.style;
    for (const [name, colour] of Object.entries(dark)) style.setProperty(`--pst-color-${name}`, colour);
    document.body.style.background = dark.background;
}"""


class Tab:
    """A page in a browser tab, with what went wrong in it; nothing but files can be reached.

    With `console` False, what the browser itself reports is not counted: a file that is missing on purpose.
    """

    def __init__(self, context, address, console=True):
        self.wrong = []
        context.route("**/*", self.route)
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        if console:
            self.page.on("console", lambda told: self.wrong.append(told.text) if told.type == "error" else None)
        self.page.goto(address)

    def route(self, request):
        if request.request.url.startswith(("file:", "data:", "blob:")):
            return request.continue_()
        self.wrong.append(request.request.url)
        return request.abort()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()
