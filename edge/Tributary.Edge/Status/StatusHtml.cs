using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;

namespace Tributary.Edge.Status;

/// <summary>
/// The page of people at <c>/</c>: a <see cref="StatusView"/> as HTML that needs no script, nothing from elsewhere, and no more than a phone.
/// Every text goes through <see cref="HtmlEncoder"/>. With scripts it follows itself (<c>page.js</c>), without them it is loaded anew.
/// </summary>
internal static class StatusHtml
{
    /// <summary>Seconds after which a browser without scripts loads the page anew.</summary>
    private const int RefreshSeconds = 10;

    /// <summary>What is served beside the page: path, resource in this assembly, content type.</summary>
    public static readonly IReadOnlyList<(string Path, string Resource, string ContentType)> Files =
    [
        ("/page.css", "page.css", "text/css; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "icon.svg", "image/svg+xml"),
    ];

    /// <summary>Makes the page.</summary>
    public static string Of(StatusView view, string version)
    {
        var html = new StringBuilder(8 << 10);
        html.Append(CultureInfo.InvariantCulture, $"""
            <!doctype html>
            <html lang="en" data-version="{Text(version)}">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{Text(view.Agent)}: {Text(view.State)}</title>
            <link rel="stylesheet" href="page.css">
            <link rel="icon" href="icon.svg">
            <script src="page.js" defer></script>
            <noscript><meta http-equiv="refresh" content="{RefreshSeconds}"></noscript>
            </head>
            <body>
            <p id="silent" role="alert" hidden></p>
            <main>
            <header>
            <h1>{Text(view.Agent)}</h1>
            <p id="state" class="{Class(view.Tone)}">{Text(view.State)}</p>

            """);
        foreach (string reason in view.Reasons)
        {
            html.Append(CultureInfo.InvariantCulture, $"<p class=\"bad\">{Text(reason)}</p>\n");
        }
        html.Append("</header>\n");
        foreach (ViewSection section in view.Sections)
        {
            Append(html, section);
        }
        html.Append("""
            </main>
            <footer><a href="status">status as JSON</a> <a href="metrics">metrics</a> <a href="dead-letters">records that the cloud refused</a></footer>
            </body>
            </html>

            """);
        return html.ToString();
    }

    private static void Append(StringBuilder html, ViewSection section)
    {
        html.Append(CultureInfo.InvariantCulture, $"<section>\n<h2>{Text(section.Title)}</h2>\n<dl>\n");
        foreach (ViewRow row in section.Rows)
        {
            string bar = row.Part is { } part
                ? string.Create(CultureInfo.InvariantCulture, $" <meter min=\"0\" max=\"1\" high=\"0.9\" value=\"{part:0.###}\"></meter>")
                : "";
            html.Append(
                CultureInfo.InvariantCulture, $"<div class=\"{Class(row.Tone)}\"><dt>{Text(row.Label)}</dt><dd>{Text(row.Text)}{bar}</dd></div>\n");
        }
        html.Append("</dl>\n</section>\n");
    }

    private static string Class(Tone tone) => tone switch
    {
        Tone.Good => "good",
        Tone.Warning => "warning",
        Tone.Bad => "bad",
        _ => "plain",
    };

    private static string Text(string text) => HtmlEncoder.Default.Encode(text);
}
