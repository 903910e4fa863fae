using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Tests.Records;

/// <summary>Which of the two payloads a golden blob holds.</summary>
internal enum PayloadSize
{
    /// <summary>300 bytes.</summary>
    Small,

    /// <summary>70,000 bytes, more than a block of LZ4 or a chunk of the snappy framing.</summary>
    Large,
}

/// <summary>A payload as another implementation compressed it.</summary>
internal sealed record GoldenPayload(CompressionCodec Codec, string Maker, PayloadSize Size, string Base64)
{
    public byte[] Bytes => Convert.FromBase64String(Base64);

    public byte[] Content => GoldenPayloads.Content(Size);

    public override string ToString() => $"{Codec} by {Maker}";
}

/// <summary>
/// The same two payloads compressed by other implementations: what java.util.zip, snappy-java 1.1.8.3, lz4-java 1.8.0 and
/// zstd-jni 1.5.2 (the libraries of Kafka's Java client) and the gzip, lz4 and zstd commands wrote.
/// </summary>
internal static class GoldenPayloads
{
    /// <summary>An LZ4 frame of linked blocks with a content checksum, by the lz4 command. Java's reader refuses it.</summary>
    public const string LinkedLz4Blocks = """
            BCJNGERAXi8CAAD/EHsidGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIn0fAP////////+kH1zAB/////////+zDIAPHwSfD//////////CLzJlXxf///
            //////sgyfDy97Kj4f/////////8E/MjEf/ib/////////sQ2fDy8iLd0u/////////8BPMjEuHZ02/////////7AOnw8vdFp8Pv////////+/XzIxLjVa
            PEb/////////rw+fDwAvZWUbTv////////++Ad8HHyzbVf////////+uAcAHDF8XHxu6Xf////////+9At8HHx56Zf////////+tAsAHDF8XH19Zbf////
            ////+8A98HHxMZdf////////+sA8AHDF8XH3D4fP////////+7BN8HH3m4hP////////+rBMAHDF8XH2yXjP////////+6Bd8HH31XlP////////+qBcAH
            DF8XHxA2nP////////+5Bt8HH3/2o/////////+pBsAHDF8XHxnVq/////////+4B98HHy+Vs/////////+oB8AHDF8XH2B0u/////////+3CN8HHx00w/
            ////////+nCMAHDF8XHwQfAAsPvg//////////pR8s09L/////////pg+fDwkvZTSy2v////////+1Ct8HHx1y4v////////+lCsAHDF8XHwIfAAsPvg//
            ////////pR8rEfL/////////pA+ADwwfRjDy///////tUEMifXsiJAAAAB90IdH/vB94MPL/////////wx9zMPL/////////v1BDIn17OgAAAABpGngj
            """;

    public static readonly GoldenPayload[] All =
    [
        new(CompressionCodec.Gzip, "java.util.zip", PayloadSize.Small,
            "H4sIAAAAAAAA/6tWKknNLUgtSiwpLUpVsjIy1DPVUSrNyyxRslJyVoqpxivNgl86Fb+0Fn5pefzSuvilZfFLR5EjDQDTApVlLAEAAA=="),
        new(CompressionCodec.Gzip, "java.util.zip, large", PayloadSize.Large, """
            H4sIAAAAAAAA/+3OMUoDAQAEQJA8QLASicKVGhVFm7SCjwiCWlwhGAnxAkoIft0vbLnF1NPMfpjG9Wbcvk+77Tgs7+9uHhfD7utjGpbD03DYY4wxxrieX3
            prGGOMMQ551lvDGGOMcchjbw1jjDHGIV/21jDGGGMc8kVvDWOMMcYhX/fWMMYYYxzyvLeGMcYY45BXvTWMMcYYh7zqrWGMMcY45LG3hjHGGOOQF701jDHG
            GId81lvDGGOMccjnvTWMMcYYh/zaW8MYY4xxyCe9NYwxxhiHvOmtYYwxxjjk394axhhjjEP+7K1hjDHGOORDbw1jjDHGIR/31jDGGGMc8l9vDWOMMcYhn/
            bWMMYYYxzybW8NY4wxxiG/9dYwxhhjHPK8t4YxxhjjkGe9NYwxxhiHvOitYYwxxjjkh94axhhjjEOe99YwxhhjHPJRbw1jjDHGIV/11jDGGGMc8nNvDWOM
            McYh//TWMMYYYxzyd28NY4wxxiEv/wG2RFtHcBEBAA==
            """),
        new(CompressionCodec.Gzip, "the gzip command, with a file name", PayloadSize.Small,
            "H4sICO5mB2sCA3NtYWxsAKtWKknNLUgtSiwpLUpVsjIy1DPVUSrNyyxRslJyVoqpxivNgl86Fb+0Fn5pefzSuvilZfFLR5EjDQDTApVlLAEAAA=="),
        new(CompressionCodec.Gzip, "Python", PayloadSize.Small,
            "H4sIAAAAAAACA6tWKknNLUgtSiwpLUpVsjIy1DPVUSrNyyxRslJyVoqpxivNgl86Fb+0Fn5pefzSuvilZfFLR5EjDQDTApVlLAEAAA=="),
        new(CompressionCodec.Snappy, "snappy-java, a raw block", PayloadSize.Small,
            "rAJ4eyJ0ZW1wZXJhdHVyZSI6MjEuNSwidW5pdCI6IkMiXHYfAAAEdh8AAGV2HwAAKnYfAAAfdh8AAC12HwAAHXYfAABazh8A"),
        new(CompressionCodec.Snappy, "snappy-java, framed", PayloadSize.Small, """
            glNOQVBQWQAAAAABAAAAAQAAAEisAnh7InRlbXBlcmF0dXJlIjoyMS41LCJ1bml0IjoiQyJcdh8AAAR2HwAAZXYfAAAqdh8AAB92HwAALXYfAAAddh8AAF
            rOHwA=
            """),
        new(CompressionCodec.Snappy, "snappy-java, framed in chunks", PayloadSize.Large, """
            glNOQVBQWQAAAAABAAAAAQAABn2AgAJ4eyJ0ZW1wZXJhdHVyZSI6MjEuNSwidW5pdCI6IkMiff4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP
            4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAL4fAABc/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH
            /sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH+sAHPoAPAAT+nw/+nw/+nw/+nw/+nw/+nw
            /+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw/+nw82nw8EMmX+Xxf+Xxf+
            Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf+Xxf2Xxc+nw
            8Eeyr+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+Ph/+
            Ph/+Ph/+Ph8yPh8IMjEf/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v4m/v
            4m/v4m/v4m/v4m/v4m/v4m8v4mQp8PBCIt/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u
            /t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0u/t0uLt0uDDIxLh3+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nT
            b+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTb+nTbunTZGnw8EdFr+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+
            fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD7+fD4qfD7h3wBa/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/j
            xG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG/jxG6jxG4cA+XxcAZf4bTv4bTv4bTv4bTv4bTv4b
            Tv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTv4bTiYbTuXfACz+21X+21
            X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21X+21Xm21Xl
            wD5fFwAb/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/rpd/r
            pd/rpd/rpd/rpdIrpd6d8AHv56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56Zf56
            Zf56Zf56Zf56Zf56Zf56Zf56ZeJ6ZenAPl8XAF/+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW
            3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW3+WW0eWW3t3wAT/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1
            /hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl1/hl13hl17cA+XxcAcP74fP74fP74fP74fP74fP74fP74fP74fP74fP74fP74fP74fA
            AABoeAgAJ4InRlbXBlcmF0dXJlIjoyMS41LCJ1bml0IjoiQyJ9e/4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4fAP4f
            AP4fAL4fAAB5/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE/rkE3rkE/nIJ/nIJ/nIJ/nIJ/nIJ/nIJ/nIJ/n
            IJ/nIJ/nIJ/nIJ/nIJWnIJAGz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAz+mAwamAz+3wf+3wf+3wf+
            3wf+3wf+3wf+3wf+3wf+3wf+3wf+3wf+3wfx3wB9/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU/lgU2lgU/s
            AH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH8cA+XxcAEP43HP43HP43HP43HP43HP43HP43HP43HP43HP43HP43HP43HP43HP43HP43HP43
            HP43HP43HP43HBY3HELYBP53FP53FP53FP53FP53FP53FP53FP53FP53FP53FP53FN53FAB//vcj/vcj/vcj/vcj/vcj/vcj/vcj/vcj/vcj/vcj/vcj/v
            cj/vcj/vcj/vcj/vcj/vcj/vcj1vcj/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH9cA+XxcAGf7WK/7WK/7WK/7WK/7WK/7WK/7WK/7W
            K/7WK/7WK/7WK/7WK/7WK/7WK/7WK/7WK/7WK/7WK/7WKxLWK/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/nfAC/+ljP+ljP+ljP+lj
            P+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljP+ljPSljP+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf5wD5fFwBg
            /nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7/nU7DnU7/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t
            8H/t8H/t8H/d8AHf41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q/41Q841Q/7AB/7AB/7AB/7AB/7AB/7AB/7A
            B/7AB/7AB/7AB/7AB/7AB/3APl8XAAT+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEv+FEvuFEsaFEv+3wf+3w
            f+3wf+3wf+3wf+3wf+3wf+3wf+3wf+3wf+3wf+3wcu3wcALP7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7UUv7U
            UsrUUv7AB/7AB/7AB/7AB/7AB/7AB/7AB/7AB/7AB/7AB/7AB/7ABy7ABz5fFwA0/rNa/rNa/rNa/rNa/rNa/rNa/rNa/rNa/rNa/rNa/rNa/rNa/rNa/r
            Na/rNa/rNa/rNa/rNa7rNaFrNa/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8H/t8HMt8HAB3+c2L+c2L+c2L+c2L+c2L+c2L+c2L+c2L+c2L+
            c2L+c2L+c2L+c2L+c2L+c2L+c2L+c2L+c2LGc2L+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAf+wAcywAc+XxcAAv5Sav5Sav5Sav5Sav5Sav
            5Sav5Sav5Sav5Sav5Sav5Sav5Sav5Sav5Sav5Sav5Sav5Sav5Sau5SahJSav7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fB/7fBzbfBwAr/hJy
            /hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJy/hJywhJy/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/sAH/s
            AHNsAHPl8XAEb+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+8Xn+3wf+3wf+3wf+3wf+3wcAAAD98CJ4
            dGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIn17Iv4fAP4fAP4fAP4fAP4fAP4fAL4fAAB4/rIB/rIB/rIB/rIB/rIB/rIBwrIB/mQD/mQD/mQD/mQD/m
            QD/mQDxmQD/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIB/rIBrrIBAHP+kQn+kQn+kQn+kQn+kQn+kQn+kQn+LQb+
            LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQb+LQauLQb+vg/+vg/+vg/+vg/+vg/+vg+Kvg8AOg==
            """),
        new(CompressionCodec.Lz4, "lz4-java", PayloadSize.Small, """
            BCJNGGBAgk0AAAD/EHsidGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIlwfAAsfBB8ACx9lHwALHyofAAsfHx8ACx8tHwALHx0fAAsfWh8AHFAxLjUsIg
            AAAAA=
            """),
        new(CompressionCodec.Lz4, "lz4-java, block and content checksums", PayloadSize.Small, """
            BCJNGHRAvU0AAAD/EHsidGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIlwfAAsfBB8ACx9lHwALHyofAAsfHx8ACx8tHwALHx0fAAsfWh8AHFAxLjUsIs
            cvC54AAAAARexMiA==
            """),
        new(CompressionCodec.Lz4, "lz4-java, two blocks", PayloadSize.Large, """
            BCJNGGBAgi8CAAD/EHsidGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIn0fAP////////+kH1zAB/////////+zDIAPHwSfD//////////CLzJlXxf///
            //////sgyfDy97Kj4f/////////8E/MjEf/ib/////////sQ2fDy8iLd0u/////////8BPMjEuHZ02/////////7AOnw8vdFp8Pv////////+/AN8HH1o8
            Rv////////+vAMAHDF8XH2UbTv////////++Ad8HHyzbVf////////+uAcAHDF8XHxu6Xf////////+9At8HHx56Zf////////+tAsAHDF8XH19Zbf////
            ////+8A98HHxMZdf////////+sA8AHDF8XH3D4fP////////+7BN8HH3m4hP////////+rBMAHDF8XH2yXjP////////+6Bd8HH31XlP////////+qBcAH
            DF8XHxA2nP////////+5Bt8HH3/2o/////////+pBsAHDF8XHxnVq/////////+4B98HHy+Vs/////////+oB8AHDF8XH2B0u/////////+3CN8HHx00w/
            ////////+nCMAHDF8XHwQfAAsPvg//////////pR8s09L/////////pg+fDwkvZTSy2v////////+1Ct8HHx1y4v////////+lCsAHDF8XHwIfAAsPvg//
            ////////pR8rEfL/////////pA+ADwwfRjDy///////tUEMifXsiUQAAAP8QdGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIn17Ih8A/54feLIB/58PZA
            P/oA+yAf////9dH3ORCf+uDy0G/////10Pvg//jVBDIn17OgAAAAA=
            """),
        new(CompressionCodec.Lz4, "the lz4 command, content size and block checksums", PayloadSize.Small, """
            BCJNGHxALAEAAAAAAAD6TQAAAP8QeyJ0ZW1wZXJhdHVyZSI6MjEuNSwidW5pdCI6IkMiXB8ACx8EHwALH2UfAAsfKh8ACx8fHwALHy0fAAsfHR8ACx9aHw
            AcUDEuNSwixy8LngAAAABF7EyI
            """),
        new(CompressionCodec.Lz4, "the lz4 command, larger blocks", PayloadSize.Large, """
            BCJNGGRQCOwBAAD/EHsidGVtcGVyYXR1cmUiOjIxLjUsInVuaXQiOiJDIn0fAP////////+kHlzABw/fB/////////+xHwSfD//////////CLzJlnw////
            //////wi97Kp8P/////////8IvMR+fD//////////CLyItnw//////////wi8uHZ8P/////////8IvdFqfD//////////CLzVanw//////////wi9lZZ8P
            /////////8IvLCyfD//////////CL20bnw//////////wi8iHp8P/////////8IvcF+fD//////////CL3UTnw//////////wi9lcJ8P/////////8Ivbn
            mfD//////////CL3Jsnw//////////wi9pfZ8P/////////8IvYRCfD//////////CL3R/nw//////////wi90GZ8P/////////8IvIi+fD//////////C
            L3Vgnw//////////wi86HZ8P/////////8IvcgSfD//////////CLyIsnw//////////wi9lNJ8P/////////8IvQx2fD//////////CLyICnw////////
            //wi8iK58P/////////8IvOkafD//////////CL314nw//////////wi8yc58P/////////79QQyJ9ezoAAAAAaRp4Iw==
            """),
        new(CompressionCodec.Zstd, "zstd-jni", PayloadSize.Small,
            "KLUv/QBY3QEAZAJ7InRlbXBlcmF0dXJlIjoyMS41LCJ1bml0IjoiQyJcBGUqHy0dWggAAacA8YDIgChAPCAyIIqFqJw="),
        new(CompressionCodec.Zstd, "zstd-jni, large", PayloadSize.Large, """
            KLUv/QBYbQUAQoYXHVCNcwR5jNjbmmaAIXSzBIWUs5BqFCgBRnkAVVczuiAwwhbxoIqVFU5+sXIOTTyBJwvYCD0iiWtT4I1HaAOn9Hz+NGoRTMGGdbgwRr
            Rj9UbTczbMYuq7t5B7k76GAUWoEeDv/xngNwMS+P9XGPzvH63f+q3f+q3f+q3f+q3fulu/9Vu/9Vu/9Vu/9Vu/dbe+1m/91m/91m/91m/91t36rd/6rZ+9
            WxeBVAU=
            """),
        new(CompressionCodec.Zstd, "the zstd command, checksum", PayloadSize.Small,
            "KLUv/QRY3QEAZAJ7InRlbXBlcmF0dXJlIjoyMS41LCJ1bml0IjoiQyJcBGUqHy0dWggAAacA8YDIgChAPCAyIIqFqJwmWStX"),
        new(CompressionCodec.Zstd, "the zstd command, window of 128 MiB", PayloadSize.Large, """
            KLUv/QCIRQUAJAR7InRlbXBlcmF0dXJlIjoyMS41LCJ1bml0IjoiQyJ9XARlKh8tHVpaZSwbHl8TcHlsfRB/GS9gHQQsNB0CK0Z4czpFqBH6/T8DAHvaDB
            L45xf8/39/8E7jHc07nndl3tW8q3lH867nXZt3Ne9q3tG863nX5l3Nu5p3NO963rV5V/Ou5h3Nu553bd7VvKt5R/Ou512bdzXvat7RvOud9+GT59ZFW1YB
            """),
        new(CompressionCodec.Zstd, "the zstd command, content size", PayloadSize.Large, """
            KLUv/aRwEQEAbQUAQoYXHVCNcwR5jNjbmmaAIXSzBIWUs5BqFCgBRnkAVVczuiAwwhbxoIqVFU5+sXIOTTyBJwvYCD0iiWtT4I1HaAOn9Hz+NGoRTMGGdb
            gwRrRj9UbTczbMYuq7t5B7k76GAUWoEeDv/xngNwMS+P9XGPzvH63f+q3f+q3f+q3f+q3fulu/9Vu/9Vu/9Vu/9Vu/dbe+1m/91m/91m/91m/91t36rd/6
            rZ+9WxeBVAV6tz3n
            """),
    ];

    public static byte[] Content(PayloadSize size) => size == PayloadSize.Small ? Content(300, 31) : Content(70_000, 2000);

    /// <summary>A text that repeats, with every so many bytes one of a linear congruential generator.</summary>
    private static byte[] Content(int length, int every)
    {
        byte[] text = Encoding.ASCII.GetBytes("""{"temperature":21.5,"unit":"C"}""");
        byte[] content = new byte[length];
        int state = 12345;
        for (int i = 0; i < length; i++)
        {
            content[i] = text[i % text.Length];
            if (i % every == every - 1)
            {
                state = unchecked((state * 1103515245) + 12345);
                content[i] = (byte)((state >>> 16) & 0x7F);
            }
        }
        return content;
    }
}
