if(TARGET rl_token)
    realm_test(golden.chat SOURCES test_chat.c ROOMS token LABELS golden
        ARGS ${CMAKE_CURRENT_SOURCE_DIR}/vectors/chat.json)
endif()
