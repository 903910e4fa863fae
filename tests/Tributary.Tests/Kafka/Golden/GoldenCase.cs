using System.Buffers;
using Tributary.Contracts.Kafka;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>A message and its bytes, the same in all versions from <paramref name="From"/> to <paramref name="To"/>.</summary>
/// <param name="StructureEnds">Where a flexible version has the zero of no tagged fields.</param>
internal abstract record GoldenCase(Type Message, KafkaApi Api, short From, short To, byte[] Bytes, IReadOnlyList<int> StructureEnds)
{
    /// <summary>The message.</summary>
    public abstract object Content { get; }

    /// <summary>The message as the values of its fields.</summary>
    public string Values => FieldValues.Of(Content);

    public string Name => $"{Message.Name} {From}-{To}";

    public bool IsRequest => Message.Name.EndsWith("Request", StringComparison.Ordinal);

    public IEnumerable<short> Versions => Enumerable.Range(From, To - From + 1).Select(version => (short)version);

    /// <summary>Reads a message, which nothing may follow, and gives the values of its fields.</summary>
    public abstract string Read(ReadOnlyMemory<byte> bytes, short version);

    /// <summary>Reads a message and forgets it.</summary>
    public abstract void Probe(ReadOnlyMemory<byte> bytes, short version);

    public abstract byte[] Write(short version);

    /// <summary>Reads a message and writes it again.</summary>
    public abstract byte[] Rewrite(ReadOnlyMemory<byte> bytes, short version);

    public sealed override string ToString() => Name;

    public static GoldenCase Of<T>(short from, short to, T message, Wire wire)
        where T : IKafkaMessage<T> => new Typed<T>(from, to, message, wire);

    private sealed record Typed<T>(short From, short To, T Value, Wire Wire)
        : GoldenCase(typeof(T), T.Api, From, To, Wire.Bytes, Wire.StructureEnds)
        where T : IKafkaMessage<T>
    {
        public override object Content => Value;

        public override string Read(ReadOnlyMemory<byte> bytes, short version)
        {
            var reader = new KafkaReader(bytes);
            T message = T.Read(ref reader, version);
            reader.ExpectEnd(Name);
            return FieldValues.Of(message);
        }

        public override void Probe(ReadOnlyMemory<byte> bytes, short version)
        {
            var reader = new KafkaReader(bytes);
            T.Read(ref reader, version);
        }

        public override byte[] Write(short version) => Write(Value, version);

        public override byte[] Rewrite(ReadOnlyMemory<byte> bytes, short version)
        {
            var reader = new KafkaReader(bytes);
            return Write(T.Read(ref reader, version), version);
        }

        private static byte[] Write(T message, short version)
        {
            var output = new ArrayBufferWriter<byte>();
            var writer = new KafkaWriter(output);
            message.Write(ref writer, version);
            return output.WrittenSpan.ToArray();
        }
    }
}
