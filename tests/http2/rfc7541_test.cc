// Header compression as a peer of a session sees it, by section of RFC 7541.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "http2/frame_peer.h"

namespace rondo::http2 {
namespace {

using namespace wire;

class Hpack : public ServerFrames {
 protected:
  // The next request, of this block.
  Session::State Request(std::string_view block) {
    number_ += 2;
    const Session::State state = Say(Headers(number_, block));
    if (!end.all.empty() && !end.all.back().closed) end.Answer(end.all.back());
    return state;
  }
  void RequestFails(std::string_view block) {
    EXPECT_EQ(Request(block), Session::State::kFailed) << Summary();
    EXPECT_TRUE(SaidGoaway(ErrorCode::kCompressionError)) << Summary();
  }
  const std::string& text() const { return end.all.back().text; }

 private:
  uint32_t number_ = UINT32_MAX;
};

// :method GET, :scheme https, :path /, :authority.
std::string Static() { return Indexed(2) + Indexed(7) + Indexed(4) + Literal(1, "a.com"); }

TEST_F(Hpack, AllFormsOfFieldsMeanTheSame) {
  Meet();
  const std::string huffman =
      "\x87"
      "\xf2\xb2\x4a\x84\xff\x74\x49";  // not used as a whole
  const std::string never = Number(0x10, 1) + String("x") + String("y");
  const std::string named_never = Integer(19, 4, 0x10) + String("text/plain");
  const std::vector<std::string> forms = {Literal("x", "y"), Remembered("x", "y"), never};
  for (const std::string& form : forms) {
    EXPECT_EQ(Request(Static() + form), Session::State::kOpen);
    EXPECT_EQ(text(), "GET / HTTP/1.1\r\nHost: a.com\r\nx: y\r\n\r\n");
  }
  // What was remembered is the newest entry (§2.3.3).
  EXPECT_EQ(Request(Static() + Indexed(62)), Session::State::kOpen);
  EXPECT_EQ(text(), "GET / HTTP/1.1\r\nHost: a.com\r\nx: y\r\n\r\n");
  EXPECT_EQ(Request(Static() + named_never), Session::State::kOpen);
  EXPECT_EQ(text(), "GET / HTTP/1.1\r\nHost: a.com\r\naccept: text/plain\r\n\r\n");
}

TEST_F(Hpack, C_4_1_HuffmanIsUnderstood) {
  Meet();
  // The example's request: GET http / www.example.com.
  EXPECT_EQ(Request("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
            Session::State::kOpen);
  EXPECT_EQ(text(), "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
}

TEST_F(Hpack, S2_3_3_IndexZeroIsNone) {
  Meet();
  RequestFails(Static() + "\x80");
}
TEST_F(Hpack, S2_3_3_AnIndexBehindTheTableIsNone) {
  Meet();
  RequestFails(Static() + Indexed(62));
}
TEST_F(Hpack, S2_3_3_ANameBehindTheTableIsNone) {
  Meet();
  RequestFails(Static() + Literal(62, "x"));
}
TEST_F(Hpack, S4_2_ATableLargerThanAllowedIsAnError) {
  Meet();
  RequestFails(TableSize(4097) + Static());
}
TEST_F(Hpack, S4_2_ATablesSizeChangesAtTheBeginningOfABlock) {
  Meet();
  EXPECT_EQ(Request(TableSize(0) + TableSize(4096) + Static()), Session::State::kOpen);
  RequestFails(Static() + TableSize(100));
}
TEST_F(Hpack, S4_4_AFieldLargerThanTheTableEmptiesIt) {
  Meet();
  EXPECT_EQ(Request(Static() + Remembered("x", "y")), Session::State::kOpen);
  EXPECT_EQ(Request(Static() + Indexed(62)), Session::State::kOpen);
  EXPECT_EQ(Request(Static() + Remembered("x", std::string(5000, 'y'))), Session::State::kOpen);
  RequestFails(Static() + Indexed(62));
}
TEST_F(Hpack, S4_3_ASmallerTableForgets) {
  Meet();
  EXPECT_EQ(Request(Static() + Remembered("x", "y")), Session::State::kOpen);
  RequestFails(TableSize(0) + Static() + Indexed(62));
}
TEST_F(Hpack, S5_1_AnIntegerThatOverflowsIsAnError) {
  Meet();
  RequestFails(Static() + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
}
TEST_F(Hpack, S5_1_AnIntegerMayBeWrittenLong) {
  Meet();
  // 19 is 15 and 4, and a 4 may be followed by a 0: accept.
  EXPECT_EQ(Request(Static() + std::string("\x0f\x84\x00", 3) + String("y")),
            Session::State::kOpen);
  EXPECT_EQ(text(), "GET / HTTP/1.1\r\nHost: a.com\r\naccept: y\r\n\r\n");
}
TEST_F(Hpack, S5_2_AStringLongerThanItsBlockIsAnError) {
  Meet();
  RequestFails(Static() + std::string("\0\x7f", 2) + "short");
}
TEST_F(Hpack, S5_2_PaddingOfHuffmanIsShortAndOfOnes) {
  for (const std::string_view value :
       {std::string_view("\x81\x00", 2),  // '0' and three zeros
        std::string_view("\x82\xff\xff", 3), std::string_view("\x84\xff\xff\xff\xff", 5)}) {
    class Case : public Hpack {
     public:
      void TestBody() override {}
      void Run(std::string_view bytes) {
        Meet();
        RequestFails(Static() + std::string("\0", 1) + String("x") + std::string(bytes));
      }
    };
    Case().Run(value);
  }
}
TEST_F(Hpack, S6_ABlockThatEndsWithinAFieldIsAnError) {
  Meet();
  RequestFails(Static() + std::string("\0\1x", 3));
}
TEST_F(Hpack, BlocksOfStreamsThatAreNotTakenStillCount) {
  Meet();
  end.refuse_streams = true;
  Say(Headers(1, Static() + Remembered("x", "y")));
  end.refuse_streams = false;
  Say(Headers(3, Static() + Indexed(62)));
  ASSERT_EQ(end.all.size(), 1u);
  EXPECT_EQ(text(), "GET / HTTP/1.1\r\nHost: a.com\r\nx: y\r\n\r\n");
}

// -- what we write --

// The first bytes of the fields of what is said next.
std::string HeadBlock(const std::vector<Seen>& seen) {
  for (const Seen& frame : seen) {
    if (frame.type == kHeaders) return frame.payload;
  }
  return "";
}

TEST_F(Hpack, S7_1_WhatIsSensitiveIsNeverRemembered) {
  Meet();
  Say(Headers(1, Static()) + Headers(3, Static()));
  for (TestStream& stream : end.all) {
    end.Answer(stream, {{"set-cookie", "secret", true}});
    Listen();
    const std::string block = HeadBlock(seen);
    // :status 200 is one byte; set-cookie is entry 55 of the static table, never indexed.
    ASSERT_GT(block.size(), 3u);
    EXPECT_EQ(block.substr(0, 3), "\x88\x1f\x28");
  }
}

TEST_F(Hpack, S4_2_APeersSmallerTableIsHeldTo) {
  Say(kHello + Settings({{kHeaderTableSize, 0}}) + SettingsAck());
  Say(Headers(1, Static()) + Headers(3, Static()));
  end.Answer(end.all[0], {{"x-long", "value"}});
  Listen();
  EXPECT_EQ(HeadBlock(seen).substr(0, 2), "\x20\x88");  // the size is said first
  const size_t size = HeadBlock(seen).size();
  end.Answer(end.all[1], {{"x-long", "value"}});
  Listen();
  EXPECT_EQ(HeadBlock(seen).size(), size - 1);  // nothing was remembered
}

TEST_F(Hpack, S4_2_APeersLargerTableIsNotUsedUp) {
  Say(kHello + Settings({{kHeaderTableSize, 1u << 30}}) + SettingsAck());
  const size_t before = end.memory.blocks_out();
  for (uint32_t stream = 1; stream < 4000; stream += 2) {
    Say(Headers(stream, Static()));
    end.Answer(end.all.back(), {{"x-" + std::to_string(stream).insert(0, "n"), "value"}});
    Listen();
  }
  EXPECT_LT(end.memory.blocks_out(), before + 3 * 128 + 64);
}

TEST_F(Hpack, WhatIsWrittenIsReadByAnother) {
  Meet();
  nghttp2_hd_inflater* inflater = nullptr;
  ASSERT_EQ(nghttp2_hd_inflate_new(&inflater), 0);
  for (uint32_t stream = 1; stream < 200; stream += 2) {
    Say(Headers(stream, Static()));
    const std::string value(stream * 37 % 500, static_cast<char>('a' + stream % 26));
    end.Answer(end.all.back(), {{"x-value", value}, {"authorization", value, true}});
    Listen();
    std::string block = HeadBlock(seen);
    std::string read;
    auto* at = reinterpret_cast<uint8_t*>(block.data());
    size_t left = block.size();
    while (true) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t size = nghttp2_hd_inflate_hd2(inflater, &field, &flags, at, left, 1);
      ASSERT_GE(size, 0);
      at += size;
      left -= static_cast<size_t>(size);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        read.append(reinterpret_cast<char*>(field.name), field.namelen).append("=");
        read.append(reinterpret_cast<char*>(field.value), field.valuelen).append(";");
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater);
    EXPECT_EQ(read, ":status=200;x-value=" + value + ";authorization=" + value + ";");
  }
  nghttp2_hd_inflate_del(inflater);
}

}  // namespace
}  // namespace rondo::http2
