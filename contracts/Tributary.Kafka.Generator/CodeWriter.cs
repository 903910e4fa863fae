using System.Text;

namespace Tributary.Kafka.Generator;

/// <summary>C# text, indented by its braces.</summary>
internal sealed class CodeWriter
{
    private readonly StringBuilder _text = new();
    private int _level;

    /// <summary>Writes a line; an empty one ends no indentation.</summary>
    public void Line(string line = "")
    {
        if (line.Length > 0)
        {
            _text.Append(' ', 4 * _level).Append(line);
        }
        _text.Append('\n');
    }

    /// <summary>Writes a heading and an opening brace.</summary>
    public void Open(string heading)
    {
        Line(heading);
        Line("{");
        _level++;
    }

    /// <summary>Writes a closing brace.</summary>
    public void Close()
    {
        _level--;
        Line("}");
    }

    /// <summary>Writes a documentation comment; nothing if there is no text.</summary>
    public void Docs(string text)
    {
        if (text.Length == 0)
        {
            return;
        }
        Line("/// <summary>");
        foreach (string line in text.Split('\n'))
        {
            Line("/// " + line.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;"));
        }
        Line("/// </summary>");
    }

    /// <inheritdoc/>
    public override string ToString() => _text.ToString();
}
