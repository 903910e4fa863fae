using System.Buffers;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Log;

public sealed class StateFileTests
{
    private readonly MemoryStorage _storage = new();

    public StateFileTests() => _storage.CreateDirectory("d");

    [Fact]
    public void A_file_reads_back_as_its_kind_and_version_only()
    {
        StateFile.Replace(_storage, "d", "f", Content(42));
        Assert.Equal(StateStatus.Ok, Read(out int value));
        Assert.Equal(42, value);
        Assert.Equal(StateStatus.Bad, StateFile.Read(_storage, "d/f", StateKind.Producers, 3, out _));
        Assert.Equal(StateStatus.Bad, StateFile.Read(_storage, "d/f", StateKind.Manifest, 4, out _));
        Assert.Equal(StateStatus.Missing, StateFile.Read(_storage, "d/g", StateKind.Manifest, 3, out _));
    }

    [Fact]
    public void Each_flipped_bit_and_each_missing_byte_is_noticed()
    {
        int size = StateFile.Replace(_storage, "d", "f", Content(42));
        using IStorageFile file = _storage.Open("d/f", create: false);
        byte[] bytes = new byte[size];
        Assert.Equal(size, file.Read(0, bytes));
        for (int bit = 0; bit < 8 * size; bit++)
        {
            byte[] flipped = [.. bytes];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            file.Write(0, flipped);
            Assert.Equal(StateStatus.Bad, Read(out _));
        }
        file.Write(0, bytes);
        Assert.Equal(StateStatus.Ok, Read(out _));
        for (int length = size - 1; length >= 0; length--)
        {
            file.SetLength(length);
            Assert.Equal(StateStatus.Bad, Read(out _));
        }
    }

    [Fact]
    public void A_crash_at_any_change_leaves_the_old_content_or_the_new()
    {
        StateFile.Replace(_storage, "d", "f", Content(1));
        _storage.SyncDirectory("");
        bool done = false;
        for (int changes = 0; !done; changes++)
        {
            var disk = new MemoryStorage();
            disk.CreateDirectory("d");
            disk.SyncDirectory("");
            StateFile.Replace(disk, "d", "f", Content(1));
            var storage = new FaultyStorage(disk);
            storage.CrashAfter(changes, PowerCut.LosesAll);
            try
            {
                StateFile.Replace(storage, "d", "f", Content(2));
                done = true;
                storage.CrashNow(PowerCut.LosesAll);
            }
            catch (IOException) when (storage.Left is not null)
            {
            }
            Assert.Equal(StateStatus.Ok, StateFile.Read(storage.Left!, "d/f", StateKind.Manifest, 3, out Memory<byte> payload));
            int value = new StateReader(payload.Span).ReadInt32();
            Assert.True(value == 2 || (value == 1 && !done), $"{value} after a crash at change {changes}");
        }
    }

    private StateStatus Read(out int value)
    {
        StateStatus status = StateFile.Read(_storage, "d/f", StateKind.Manifest, 3, out Memory<byte> payload);
        value = status == StateStatus.Ok ? new StateReader(payload.Span).ReadInt32() : 0;
        return status;
    }

    private static ArrayBufferWriter<byte> Content(int value)
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(StateKind.Manifest, 3);
        content.WriteInt32(value);
        return content;
    }
}
