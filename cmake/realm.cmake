# Compiler settings and the three functions every CMakeLists.txt of a room or a test uses:
#   realm_room(NAME [ROOMS room...] [LIBS target...])       src/NAME/*.c -> static library rl_NAME
#   realm_test(NAME SOURCES file... [ROOMS room...] [LIBS target...] [ENV K=V...] [LABELS l...])
#   realm_guest(NAME SOURCE file [MEMORY64] [NOLIBC] [FLAGS f...])   a .wasm built by clang
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(REALM_SANITIZE "" CACHE STRING "address or thread")
option(REALM_FUZZ "build the libFuzzer targets (clang)" OFF)
option(REALM_COVERAGE "instrument for gcov" OFF)

add_library(realm_flags INTERFACE)
target_compile_definitions(realm_flags INTERFACE _GNU_SOURCE)
target_compile_options(realm_flags INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wvla -Wformat=2
    -ffp-contract=off -fno-strict-aliasing -fvisibility=hidden)
target_include_directories(realm_flags INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
if(REALM_WERROR)
    target_compile_options(realm_flags INTERFACE -Werror)
endif()
if(REALM_SANITIZE STREQUAL "address")
    target_compile_options(realm_flags INTERFACE -fsanitize=address,undefined
        -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(realm_flags INTERFACE -fsanitize=address,undefined)
elseif(REALM_SANITIZE STREQUAL "thread")
    target_compile_options(realm_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
    target_compile_definitions(realm_flags INTERFACE REALM_TSAN=1)
    target_link_options(realm_flags INTERFACE -fsanitize=thread)
endif()
if(REALM_FUZZ)
    target_compile_options(realm_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
    target_link_options(realm_flags INTERFACE -fsanitize=address,undefined)
endif()
if(REALM_COVERAGE)
    target_compile_options(realm_flags INTERFACE --coverage)
    target_link_options(realm_flags INTERFACE --coverage)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

function(realm_room name)
    cmake_parse_arguments(A "" "" "ROOMS;LIBS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c
        ${CMAKE_SOURCE_DIR}/src/${name}/*/*.c)
    if(NOT sources)
        return() # a room that is only its contract so far
    endif()
    add_library(rl_${name} STATIC ${sources})
    list(TRANSFORM A_ROOMS PREPEND rl_)
    target_link_libraries(rl_${name} PUBLIC realm_flags ${A_ROOMS} ${A_LIBS} Threads::Threads m)
endfunction()

function(realm_test name)
    cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;ROOMS;LIBS;ENV;LABELS;ARGS" ${ARGN})
    string(REPLACE "." "_" target test_${name})
    if(NOT TARGET ${target})
        add_executable(${target} ${A_SOURCES})
        list(TRANSFORM A_ROOMS PREPEND rl_)
        target_link_libraries(${target} PRIVATE realm_flags ${A_ROOMS} ${A_LIBS} PkgConfig::CMOCKA)
        target_compile_definitions(${target} PRIVATE REALM_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
            REALM_BINARY_DIR="${CMAKE_BINARY_DIR}")
    endif()
    add_test(NAME ${name} COMMAND ${target} ${A_ARGS})
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 300)
    endif()
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${A_TIMEOUT})
    if(A_ENV)
        set_tests_properties(${name} PROPERTIES ENVIRONMENT "${A_ENV}")
    endif()
    if(A_LABELS)
        set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}")
    endif()
endfunction()

# A guest program: ${CMAKE_BINARY_DIR}/guests/NAME.wasm, target guest_NAME; its path is the target's
# property REALM_WASM. NOLIBC and MEMORY64 need no C library; the others get wasi-libc.
find_program(REALM_CLANG NAMES clang clang-14 REQUIRED)
function(realm_guest name)
    cmake_parse_arguments(A "MEMORY64;NOLIBC" "SOURCE" "FLAGS" ${ARGN})
    cmake_path(ABSOLUTE_PATH A_SOURCE)
    set(out ${CMAKE_BINARY_DIR}/guests/${name}.wasm)
    set(flags -std=c11 -O2 -Wall -Wextra -Werror -I${CMAKE_SOURCE_DIR}/sdk/c -Wl,--strip-all)
    if(A_MEMORY64 OR A_NOLIBC)
        set(target wasm32)
        if(A_MEMORY64)
            set(target wasm64)
        endif()
        # without a C library, copies and fills must become instructions, not calls
        list(PREPEND flags --target=${target} -nostdlib -fno-builtin -mbulk-memory -Wl,--no-entry)
    else()
        list(PREPEND flags --target=wasm32-wasi --sysroot=/usr)
    endif()
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/guests
        COMMAND ${REALM_CLANG} ${flags} ${A_FLAGS} -o ${out} ${A_SOURCE}
        DEPENDS ${A_SOURCE} ${CMAKE_SOURCE_DIR}/sdk/c/realm.h VERBATIM
        COMMENT "guest ${name}.wasm")
    add_custom_target(guest_${name} ALL DEPENDS ${out})
    set_target_properties(guest_${name} PROPERTIES REALM_WASM ${out})
endfunction()
