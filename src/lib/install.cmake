# librealm.so and librealm.a, what pkg-config knows of them, and their installation.
include(GNUInstallDirs)
set(public ${CMAKE_SOURCE_DIR}/include/realm/status.h ${CMAKE_SOURCE_DIR}/include/realm/realm.h)

# What the shared library exports is what the public headers mark REALM_API, nothing else.
set(names "")
foreach(header ${public})
    file(READ ${header} text)
    string(REGEX MATCHALL "REALM_API[^;{]*[(]" marked "${text}")
    foreach(declaration ${marked})
        if(declaration MATCHES "(realm_[a-z0-9_]+)[(]")
            string(APPEND names " ${CMAKE_MATCH_1};")
        endif()
    endforeach()
endforeach()
set(map ${CMAKE_CURRENT_BINARY_DIR}/realm.map)
file(CONFIGURE OUTPUT ${map} CONTENT "REALM_0 { global:${names} local: *; };\n")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public})

add_library(realm_shared SHARED $<TARGET_OBJECTS:rl_lib>)
target_link_libraries(realm_shared PRIVATE realm_flags rl_base rl_gguf rl_token rl_model rl_engine
    rl_store rl_guest realm_chat_wasm)
target_link_options(realm_shared PRIVATE -Wl,--version-script=${map} -Wl,--gc-sections)
target_include_directories(realm_shared INTERFACE ${CMAKE_SOURCE_DIR}/include)
set_target_properties(realm_shared PROPERTIES OUTPUT_NAME realm VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})

# The static library is the rooms in one archive; the Rust part stays beside it.
set(rooms base kernels gguf token kv sample model engine store guest lib)
set(script "create ${CMAKE_CURRENT_BINARY_DIR}/librealm.a\n")
set(archives "")
foreach(room ${rooms})
    string(APPEND script "addlib $<TARGET_FILE:rl_${room}>\n")
    list(APPEND archives rl_${room})
endforeach()
string(APPEND script "addlib $<TARGET_FILE:realm_chat_wasm>\nsave\nend\n")
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/librealm.mri CONTENT "${script}")
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/librealm.a
    COMMAND ${CMAKE_COMMAND} -E rm -f ${CMAKE_CURRENT_BINARY_DIR}/librealm.a
    COMMAND ${CMAKE_C_COMPILER_AR} -M <${CMAKE_CURRENT_BINARY_DIR}/librealm.mri
    DEPENDS ${archives} realm_chat_wasm COMMENT "librealm.a")
add_custom_target(realm_static ALL DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/librealm.a)

configure_file(realm.pc.in realm.pc @ONLY)
get_target_property(rt realm_rt IMPORTED_LOCATION)
install(TARGETS realm_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/librealm.a ${rt} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/realm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${public} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/realm)
