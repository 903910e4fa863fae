namespace Tributary.Tests.Support;

/// <summary>Damages bytes as disks, links and hostile clients do, from a seed.</summary>
internal static class Mutations
{
    private const int MostEdits = 4;
    private static readonly byte[] Telling = [0x00, 0x01, 0x7F, 0x80, 0xFF];

    /// <summary>A copy of <paramref name="original"/> with a few edits: bits flipped, bytes set, removed, doubled or cut off.</summary>
    public static byte[] Damage(ReadOnlySpan<byte> original, Random random)
    {
        var bytes = new List<byte>(original.ToArray());
        int edits = random.Next(1, MostEdits + 1);
        for (int i = 0; i < edits && bytes.Count > 0; i++)
        {
            int at = random.Next(bytes.Count);
            int length = Math.Min(random.Next(1, 9), bytes.Count - at);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = Telling[random.Next(Telling.Length)];
                    break;
                case 2:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 3:
                    bytes.RemoveRange(at, length);
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                default:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }
        return [.. bytes];
    }
}
